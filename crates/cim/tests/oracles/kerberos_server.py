"""A WinRM endpoint whose Kerberos and message encryption are MIT's, by python3-gssapi.

Prints the port; the key comes from KRB5_KTNAME. Takes encrypted messages only, and answers each with
its own text within <e>, encrypted. Ends with its input.
"""

import base64
import http.server
import sys
import threading

import gssapi
import gssapi.raw as raw

BOUNDARY = b"--Encrypted Boundary"
PROTOCOL = b"application/HTTP-SPNEGO-session-encrypted"
OCTETS = b"\r\n\tContent-Type: application/octet-stream\r\n"


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
        sealed = self.seal(b"<e>" + self.unseal(body) + b"</e>")
        self.reply(200, sealed, Content_Type=self.headers["Content-Type"])

    def log_on(self, token):
        if self.context is None:
            self.context = gssapi.SecurityContext(usage="accept", creds=gssapi.Credentials(usage="accept"))
        try:
            answer = self.context.step(token)
        except Exception as error:
            print("refused:", error, file=sys.stderr)
            self.context = None
            return self.reply(401, WWW_Authenticate="Negotiate")
        told = {"WWW_Authenticate": "Negotiate " + base64.b64encode(answer).decode()} if answer else {}
        self.reply(200 if self.context.complete else 401, **told)

    def unseal(self, body):
        head, rest = body.split(OCTETS, 1)
        assert rest.endswith(BOUNDARY + b"--\r\n")
        rest = rest[: -len(BOUNDARY) - 4]
        size = int.from_bytes(rest[:4], "little")
        kinds = raw.IOVBufferType
        parts = raw.IOV((kinds.header, False, rest[4 : 4 + size]), (kinds.data, False, rest[4 + size :]), std_layout=False)
        raw.unwrap_iov(self.context, parts)
        assert len(parts[1].value) == int(head.split(b"Length=")[1].split(b"\r\n")[0])
        return parts[1].value

    def seal(self, plain):
        kinds = raw.IOVBufferType
        parts = raw.IOV(kinds.header, plain, kinds.padding, std_layout=False)
        raw.wrap_iov(self.context, parts)
        header, data = parts[0].value, parts[1].value + (parts[2].value or b"")
        return b"".join([
            BOUNDARY, b"\r\n\tContent-Type: ", PROTOCOL, b"\r\n",
            b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n" % len(data),
            BOUNDARY, OCTETS, len(header).to_bytes(4, "little"), header, data, BOUNDARY, b"--\r\n",
        ])


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
