"""Asks the lab with the envelopes, logons and encryption of pypsrp or pywinrm, and prints what it says as JSON.

    foreign.py pypsrp|wrapped|pywinrm http|https PORT USER PASSWORD-FILE

“wrapped” is pypsrp with NTLM within SPNEGO.

The headers are the client's own. Bodies beyond what these clients know (they run shells) are
written here after DSP0226 and MS-WSMV with Python's own XML writer.
"""

import json
import sys
import uuid
import warnings
import xml.etree.ElementTree as ET

warnings.simplefilter("ignore")

N = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
W = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
A = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
S = "http://www.w3.org/2003/05/soap-envelope"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer/"
NS = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2/"
ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"

client, scheme, port, user, password_file = sys.argv[1:]
password = open(password_file, encoding="utf-8").read()


class Refused(Exception):
    def __init__(self, code, subcode):
        self.code, self.subcode = code, subcode


class Pypsrp:
    def __init__(self):
        from pypsrp.wsman import WSMan

        tls = scheme == "https"
        self.wsman = WSMan(
            "localhost" if tls else "127.0.0.1", port=int(port), username=user, password=password, ssl=tls,
            auth="basic" if tls else {"pypsrp": "ntlm", "wrapped": "negotiate"}[client], cert_validation=False, encryption="auto" if tls else "always",
        )

    def call(self, action, resource, body=None, selectors=()):
        from pypsrp.exceptions import WSManFaultError
        from pypsrp.wsman import SelectorSet

        chosen = SelectorSet() if selectors else None
        for name, value in selectors:
            chosen.add_option(name, value)
        try:
            return self.wsman.invoke(action, resource, body, selector_set=chosen).find("{%s}Body" % S)
        except WSManFaultError as fault:
            raise Refused(fault.code, None)

    def identify(self, text):
        return self.wsman.transport.send(text.encode())


class Pywinrm:
    def __init__(self):
        from winrm.protocol import Protocol

        host = "localhost" if scheme == "https" else "127.0.0.1"
        self.protocol = Protocol(
            "%s://%s:%s/wsman" % (scheme, host, port), transport="ntlm", username=user, password=password,
            server_cert_validation="ignore", message_encryption="auto",
        )

    def call(self, action, resource, body=None, selectors=()):
        import xmltodict
        from winrm.exceptions import WSManFaultError

        header = self.protocol._get_soap_header(resource_uri=resource, action=action, message_id=uuid.uuid4())
        if selectors:
            header["env:Header"]["w:SelectorSet"] = {"w:Selector": [{"@Name": n, "#text": v} for n, v in selectors]}
        message = {"env:Envelope": dict(header, **{"env:Body": {}})}
        # The client's own envelope, with our body put in.
        root = ET.fromstring(xmltodict.unparse(message))
        if body is not None:
            root.find("{%s}Body" % S).append(body)
        try:
            reply = self.protocol.send_message(ET.tostring(root, encoding="unicode"))
        except WSManFaultError as fault:
            raise Refused(fault.wsman_fault_code, fault.fault_subcode)
        return ET.fromstring(reply).find("{%s}Body" % S)

    def identify(self, text):
        return self.protocol.transport.send_message(text)


def element(parent, namespace, name, text=None, **attributes):
    new = ET.Element if parent is None else lambda tag, attrib: ET.SubElement(parent, tag, attrib)
    made = new("{%s}%s" % (namespace, name), attributes)
    made.text = text
    return made


def plain(instance):
    """Properties by name: text, None for nil, a list for what is repeated, a dict for a reference."""
    found = {}
    for child in instance:
        name = child.tag.split("}")[-1]
        if child.get("{%s}nil" % XSI) == "true":
            value = None
        elif child.find("{%s}ReferenceParameters" % A) is not None:
            value = reference(child)
        else:
            value = "".join(child.itertext())
        if name in found:
            known = found[name]
            found[name] = known + [value] if isinstance(known, list) else [known, value]
        else:
            found[name] = value
    return found


def reference(node):
    parameters = node.find("{%s}ReferenceParameters" % A)
    selectors = parameters.findall("{%s}SelectorSet/{%s}Selector" % (W, W))
    return {
        "uri": parameters.find("{%s}ResourceURI" % W).text,
        "selectors": [[s.get("Name"), s.text] for s in selectors],
    }


def enumerate_all(resource, most, wql=None, mode=None, optimize=True):
    body = element(None, N, "Enumerate")
    if optimize:
        element(body, W, "OptimizeEnumeration")
        element(body, W, "MaxElements", str(most))
    if mode:
        element(body, W, "EnumerationMode", mode)
    if wql:
        element(body, W, "Filter", wql, Dialect=WQL)
    reply = asked.call(N + "/Enumerate", resource, body).find("{%s}EnumerateResponse" % N)
    items, space, contexts = [], W, []
    while True:
        page = reply.find("{%s}Items" % space)
        items += list(page) if page is not None else []
        if reply.find("{%s}EndOfSequence" % space) is not None:
            return items, contexts
        space = N
        context = reply.find("{%s}EnumerationContext" % N).text
        contexts.append(context)
        body = element(None, N, "Pull")
        element(body, N, "EnumerationContext", context)
        element(body, N, "MaxElements", str(most))
        reply = asked.call(N + "/Pull", resource, body).find("{%s}PullResponse" % N)


def invoke(cls, method, inputs, selectors=()):
    body = element(None, NS + cls, method + "_INPUT")
    for name, value in inputs:
        parameter = element(body, NS + cls, name, value if isinstance(value, str) else None)
        if isinstance(value, dict):
            element(parameter, A, "Address", ANONYMOUS)
            parameters = element(parameter, A, "ReferenceParameters")
            element(parameters, W, "ResourceURI", value["uri"])
            chosen = element(parameters, W, "SelectorSet")
            for key, text in value["selectors"]:
                element(chosen, W, "Selector", text, Name=key)
    return plain(asked.call(NS + cls + "/" + method, NS + cls, body, selectors)[0])


def get(where):
    cls = where["uri"].split("/")[-1]
    reply = asked.call(TRANSFER + "Get", where["uri"], None, where["selectors"])[0]
    assert reply.tag == "{%s}%s" % (where["uri"], cls), reply.tag
    return plain(reply)


def refused(call):
    try:
        call()
    except Refused as fault:
        return [fault.code, fault.subcode]
    raise AssertionError("it was not refused")


asked = {"pypsrp": Pypsrp, "wrapped": Pypsrp, "pywinrm": Pywinrm}[client]()
said = {}

ask = '<s:Envelope xmlns:s="%s" xmlns:i="%s"><s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>' % (S, IDENTITY)
answer = ET.fromstring(asked.identify(ask))
said["identify"] = {n.tag.split("}")[-1]: n.text for n in answer.find(".//{%s}IdentifyResponse" % IDENTITY)}

# A class in pages of two, each page under another context; and without optimisation.
items, contexts = enumerate_all(NS + "Msvm_ComputerSystem", 2)
said["systems"] = [plain(item) for item in items]
said["contexts"] = len(set(contexts)), len(contexts)
said["slowly"] = len(enumerate_all(NS + "Msvm_ComputerSystem", 1, optimize=False)[0])

name = next(s["Name"] for s in said["systems"] if s["ElementName"] == "wéb & <co>")
vm = {"uri": NS + "Msvm_ComputerSystem", "selectors": [["CreationClassName", "Msvm_ComputerSystem"], ["Name", name]]}
said["vm"] = get(vm)
said["some"] = [
    (i.tag, plain(i)) for i in enumerate_all(NS + "*", 9, "SELECT Name, EnabledState FROM Msvm_ComputerSystem WHERE Name='%s'" % name)[0]
]
settings = "ASSOCIATORS OF {Msvm_ComputerSystem.CreationClassName='Msvm_ComputerSystem',Name='%s'} WHERE AssocClass=%s ResultClass=Msvm_VirtualSystemSettingData"
said["settings"] = [plain(i) for i in enumerate_all(NS + "*", 9, settings % (name, "Msvm_SettingsDefineState"))[0]]
said["paths"] = [reference(i) for i in enumerate_all(NS + "*", 9, "SELECT * FROM Msvm_StorageAllocationSettingData", "EnumerateEPR")[0]]
both = enumerate_all(NS + "*", 9, "SELECT * FROM Msvm_VirtualSystemSnapshotService", "EnumerateObjectAndEPR")[0][0]
said["both"] = [child.tag.split("}")[-1] for child in both]

# A recovery checkpoint, the service named by one key; a job; what it made.
inner = (
    '<INSTANCE CLASSNAME="Msvm_VirtualSystemSnapshotSettingData">'
    '<PROPERTY NAME="ConsistencyLevel" TYPE="uint8"><VALUE>1</VALUE></PROPERTY></INSTANCE>'
)
service = "Msvm_VirtualSystemSnapshotService"
made = invoke(
    service, "CreateSnapshot", [("AffectedSystem", vm), ("SnapshotSettings", inner), ("SnapshotType", "32768")],
    [["CreationClassName", service]],
)
said["create"] = made
states = []
for _ in range(600):
    job = get(made["Job"])
    states.append(int(job["JobState"]))
    if states[-1] not in (2, 3, 4):
        break
said["states"], said["job"] = states, job
said["checkpoints"] = [plain(i) for i in enumerate_all(NS + "*", 9, settings % (name, "Msvm_SnapshotOfVirtualSystem"))[0]]

said["faults"] = {
    "class": refused(lambda: enumerate_all(NS + "Msvm_Nothing", 9)),
    "query": refused(lambda: enumerate_all(NS + "*", 9, "SELECT FROM")),
    "class with filter": refused(lambda: enumerate_all(NS + "Msvm_ComputerSystem", 9, "SELECT * FROM Msvm_ComputerSystem")),
    "keys": refused(lambda: get({"uri": vm["uri"], "selectors": vm["selectors"][:1]})),
    "gone": refused(lambda: get({"uri": vm["uri"], "selectors": [vm["selectors"][0], ["Name", "nobody"]]})),
    "parameter": refused(lambda: invoke(service, "CreateSnapshot", [("Nonsense", "1")])),
    "type": refused(lambda: invoke(service, "CreateSnapshot", [("SnapshotType", "two")])),
    "action": refused(lambda: asked.call(TRANSFER + "Create", NS + service)),
}
json.dump(said, sys.stdout)
