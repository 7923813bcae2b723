"""Compares the headers of an envelope with those that pypsrp and pywinrm make for the same request.

    envelopes.py FILE ACTION RESOURCE [NAME=VALUE …]

What they send must be in ours, with the same text and the same mustUnderstand; what they leave out
is nobody's business here. Ids are compared by their form.
"""

import re
import sys
import uuid
import xml.etree.ElementTree as ET

import xmltodict
from pypsrp.wsman import NAMESPACES, SelectorSet, WSMan
from winrm.protocol import Protocol

S = "{http://www.w3.org/2003/05/soap-envelope}"
file, action, resource, *selectors = sys.argv[1:]
selectors = [selector.split("=", 1) for selector in selectors]
TO = "http://hv01:5985/wsman"


class Transport:
    endpoint = TO


def flat(node):
    """Each header as name -> (text, mustUnderstand, language), children by path."""
    found = {}

    def walk(element, path):
        for child in element:
            name = path + "/" + child.tag + child.attrib.get("Name", "")
            text = (child.text or "").strip()
            text = re.sub(r"(?i)^uuid:[0-9a-f-]{36}$", "an id", text)
            must = child.attrib.get(S + "mustUnderstand", child.attrib.get("mustUnderstand", "false"))
            lang = child.attrib.get("{http://www.w3.org/XML/1998/namespace}lang", "")
            found[name] = (text, must.lower(), lang)
            walk(child, name)

    walk(node, "")
    return found


def pypsrp():
    wsman = WSMan.__new__(WSMan)
    wsman.session_id, wsman.locale, wsman.data_locale = str(uuid.uuid4()), "en-US", "en-US"
    wsman.transport, wsman.max_envelope_size, wsman.operation_timeout = Transport, 153600, 60
    chosen = None
    if selectors:
        chosen = SelectorSet()
        for name, value in selectors:
            chosen.add_option(name, value)
    return wsman._create_header(action, resource, None, chosen, 60)[1]


def pywinrm():
    protocol = Protocol(endpoint=TO, username="u", password="p", operation_timeout_sec=60, read_timeout_sec=90)
    header = protocol._get_soap_header(action=action, resource_uri=resource, message_id=str(uuid.uuid4()))
    return ET.fromstring(xmltodict.unparse({"env:Envelope": header})).find(S + "Header")


envelope = ET.parse(file).getroot()
ours = flat(envelope.find(S + "Header"))
assert [child.tag for child in envelope] == [S + "Header", S + "Body"]
wrong = []
for who, header in (("pypsrp", pypsrp()), ("pywinrm", pywinrm())):
    theirs = flat(header)
    assert len(theirs) > 8, (who, theirs)
    for name, value in theirs.items():
        if who == "pywinrm" and name.endswith("}To"):
            # It names a host of its own here.
            continue
        if ours.get(name) != value:
            wrong.append(f"{who}: {name}: {value}, ours {ours.get(name)}")
print("\n".join(wrong) or "the same")
