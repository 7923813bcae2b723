//! Namespaces and fixed URIs (MS-WSMV 2.2.1, DSP0226 annex, DSP0227).

pub(super) const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
pub(super) const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
pub(super) const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
pub(super) const MS_WSMAN: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd";
pub(super) const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
pub(super) const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
pub(super) const BINDING: &str = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd";
pub(super) const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/common";
pub(super) const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
pub(super) const WSMAN_FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";
pub(super) const CONFIG: &str = "http://schemas.microsoft.com/wbem/wsman/1/config";
pub(super) const IDENTITY: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";
pub(super) const WMI_ERROR: &str =
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError";

pub(super) const ANONYMOUS: &str =
    "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
/// Resources of WMI: namespace and class follow.
pub(super) const WMI: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/";
/// The definitions of classes, as CIM-XML.
pub(super) const CIM_XML: &str = "http://schemas.dmtf.org/wbem/cim-xml/2/cim-schema/2/*";
/// Where details of faults begin.
pub(super) const FAULT_DETAIL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/";

pub(super) const WQL: &str = "http://schemas.microsoft.com/wbem/wsman/1/WQL";
pub(super) const ASSOCIATIONS: &str =
    "http://schemas.dmtf.org/wbem/wsman/1/cimbinding/associationFilter";
