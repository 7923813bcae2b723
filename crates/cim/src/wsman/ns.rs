//! The namespaces and fixed URIs of WS-Management (MS-WSMV 2.2.1, DSP0226, DSP0227).

/// SOAP 1.2.
pub(super) const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
/// WS-Addressing, of August 2004 and no other.
pub(super) const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// DMTF's WS-Management.
pub(super) const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
/// Microsoft's additions to it.
pub(super) const MS_WSMAN: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd";
/// WS-Enumeration.
pub(super) const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
/// The binding of CIM: association filters.
pub(super) const BINDING: &str = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd";
/// CIM's common types: date and time.
pub(super) const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/common";
/// XML Schema's instances: `nil` and `type`.
pub(super) const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// Microsoft's detail of faults.
pub(super) const FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";
/// The configuration of a host's service.
pub(super) const HOST_CONFIG: &str = "http://schemas.microsoft.com/wbem/wsman/1/config";
/// Identify. MS-WSMV prints “identify” in a table; hosts answer to “identity”.
pub(super) const IDENTITY: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";

/// Where replies go: back on the connection.
pub const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
/// The resource by which a host tells its limits.
pub const CONFIG: &str = "http://schemas.microsoft.com/wbem/wsman/1/config";
/// The resource by which a host tells its classes, as CIM-XML.
pub const CLASS_SCHEMA: &str = "http://schemas.dmtf.org/wbem/cim-xml/2/cim-schema/2/*";

/// Resources that are WMI's start with this; namespace and class follow.
pub(super) const WMI: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/";
/// Resources that are told in DMTF's way; the namespace is then a selector.
pub(super) const DMTF_CLASS: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/";

pub(super) const TRANSFER_GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";
pub(super) const ENUMERATE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate";
pub(super) const PULL: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Pull";
pub(super) const RELEASE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Release";

pub(super) const WQL_DIALECT: &str = "http://schemas.microsoft.com/wbem/wsman/1/WQL";
/// Without `.xsd`, unlike the namespace of the elements within.
pub(super) const ASSOCIATION_DIALECT: &str =
    "http://schemas.dmtf.org/wbem/wsman/1/cimbinding/associationFilter";
