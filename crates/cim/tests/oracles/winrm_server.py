"""A WinRM endpoint whose NTLM and message encryption are pyspnego's.

    winrm_server.py USERS [CERTIFICATE KEY BINDING]

USERS is a file of lines DOMAIN:USER:PASSWORD. Prints the port. Over plain HTTP it takes encrypted
messages only and answers each with its own text within <e>, encrypted; over TLS in clear, and only
to who is bound to the connection by the channel binding BINDING (hexadecimal). Ends with its input.
"""

import base64
import http.server
import os
import ssl
import sys
import threading

import spnego
from spnego.channel_bindings import GssChannelBindings

os.environ["NTLM_USER_FILE"] = sys.argv[1]
BOUNDARY = b"Encrypted Boundary"
PROTOCOL = b"application/HTTP-SPNEGO-session-encrypted"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    context = None

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers.get("Authorization", "")
        if token.startswith("Negotiate "):
            return self.log_on(base64.b64decode(token[10:]))
        if self.context is None or not self.context.complete:
            return self.reply(401, WWW_Authenticate="Negotiate")
        if len(sys.argv) > 2:
            return self.reply(200, b"<e>" + body + b"</e>", Content_Type="application/soap+xml")
        kind = self.headers["Content-Type"]
        assert kind == 'multipart/encrypted;protocol="%s";boundary="%s"' % (PROTOCOL.decode(), BOUNDARY.decode())
        self.reply(200, self.seal(b"<e>" + self.unseal(body) + b"</e>"), Content_Type=kind)

    def log_on(self, token):
        if self.context is None:
            bindings = None
            if len(sys.argv) > 4:
                bindings = GssChannelBindings(application_data=bytes.fromhex(sys.argv[4]))
            self.context = spnego.server(protocol="ntlm", channel_bindings=bindings)
        try:
            answer = self.context.step(token)
        except Exception as error:
            print("refused:", type(error).__name__, error, file=sys.stderr)
            self.context = None
            return self.reply(401, WWW_Authenticate="Negotiate")
        if self.context.complete:
            return self.reply(200)
        self.reply(401, WWW_Authenticate="Negotiate " + base64.b64encode(answer).decode())

    def unseal(self, body):
        head, rest = body.split(b"\tContent-Type: application/octet-stream\r\n", 1)
        length = int(head.split(b"Length=")[1].split(b"\r\n")[0])
        assert head.startswith(b"--" + BOUNDARY + b"\r\n\tContent-Type: " + PROTOCOL + b"\r\n")
        assert rest.endswith(b"--" + BOUNDARY + b"--\r\n")
        rest = rest[: -len(BOUNDARY) - 6]
        size = int.from_bytes(rest[:4], "little")
        plain = self.context.unwrap_winrm(rest[4 : 4 + size], rest[4 + size :])
        assert len(plain) == length
        return plain

    def seal(self, plain):
        sealed = self.context.wrap_winrm(plain)
        return b"".join([
            b"--", BOUNDARY, b"\r\n\tContent-Type: ", PROTOCOL, b"\r\n",
            b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n" % (len(plain) + sealed.padding_length),
            b"--", BOUNDARY, b"\r\n\tContent-Type: application/octet-stream\r\n",
            len(sealed.header).to_bytes(4, "little"), sealed.header, sealed.data,
            b"--", BOUNDARY, b"--\r\n",
        ])


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = tls.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
