//! What kind of network joins the nodes of an offer.

use super::offer::Offer;

/// Classes of networks between nodes of accelerators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkClass {
    /// InfiniBand: remote memory access in the network cards.
    InfiniBand,
    /// The same over Ethernet (RDMA over converged Ethernet).
    Roce,
    /// AWS's Elastic Fabric Adapter.
    Efa,
    /// Google's GPUDirect-TCPX and -TCPXO: TCP with data straight into the cards' memory.
    TcpX,
    /// TCP through the host.
    Tcp,
}

impl NetworkClass {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InfiniBand => "InfiniBand",
            Self::Roce => "RoCE",
            Self::Efa => "EFA",
            Self::TcpX => "TCPX",
            Self::Tcp => "TCP",
        }
    }
}

/// Instances by the beginning of their names, and their network. Recalled from the providers' pages: AWS EC2
/// "accelerated computing" (EFA), Google Cloud "GPU machine types" (TCPX on A3 High, TCPXO on A3 Mega, RoCE on A3 Ultra
/// and A4), Azure "ND family" (InfiniBand), Oracle "RDMA cluster networks" (RoCE).
const KNOWN: [(&str, NetworkClass); 17] = [
    ("aws/p3dn", NetworkClass::Efa),
    ("aws/p4", NetworkClass::Efa),
    ("aws/p5", NetworkClass::Efa),
    ("aws/p6", NetworkClass::Efa),
    ("aws/trn", NetworkClass::Efa),
    ("aws/g4dn.metal", NetworkClass::Efa),
    ("aws/g5.48xlarge", NetworkClass::Efa),
    ("aws/g6.48xlarge", NetworkClass::Efa),
    ("aws/g6e.48xlarge", NetworkClass::Efa),
    ("aws/", NetworkClass::Tcp),
    ("gcp/a3-ultra", NetworkClass::Roce),
    ("gcp/a4", NetworkClass::Roce),
    ("gcp/a3-", NetworkClass::TcpX),
    ("gcp/", NetworkClass::Tcp),
    ("azure/Standard_ND", NetworkClass::InfiniBand),
    ("azure/", NetworkClass::Tcp),
    ("oci/BM.GPU", NetworkClass::Roce),
];

impl Offer {
    /// The class of the network between its nodes; `None` where nobody told.
    pub fn network_class(&self) -> Option<NetworkClass> {
        KNOWN.iter().find(|(start, _)| self.name.starts_with(start)).map(|(_, class)| *class)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    #[test]
    fn by_instance() {
        let catalog = Catalog::embedded();
        let class = |name: &str| catalog.offer(name).expect("in the catalogue").network_class();
        assert_eq!(class("aws/p5.48xlarge"), Some(NetworkClass::Efa));
        assert_eq!(class("gcp/a3-highgpu-8g"), Some(NetworkClass::TcpX));
        assert_eq!(class("gcp/a3-ultragpu-8g"), Some(NetworkClass::Roce));
        assert_eq!(class("azure/Standard_ND96isr_H100_v5"), Some(NetworkClass::InfiniBand));
        assert_eq!(class("aws/p3.2xlarge"), Some(NetworkClass::Tcp));
    }
}
