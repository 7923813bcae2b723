//! A reader over a map of objects, with this crate's functions: everything verified.

use std::collections::{BTreeMap, HashMap};

use hyperkeep_vault_format::index::IndexOpener;
use hyperkeep_vault_format::map::{Leaf, Node, Root, Target};
use hyperkeep_vault_format::pack::{PackKind, PackOpener, Trailer};
use hyperkeep_vault_format::payload::Decoder;
use hyperkeep_vault_format::point::{Details, Outline, PointOpener};
use hyperkeep_vault_format::record::open_record;
use hyperkeep_vault_format::{
    ChunkId, Description, NodeId, ObjectHash, ObjectName, Slot, Unlock, VaultKeys, Writer,
    WriterId, WriterPublic,
};

pub(crate) struct Reader<'a> {
    pub(crate) keys: VaultKeys,
    objects: &'a BTreeMap<String, Vec<u8>>,
    writers: HashMap<WriterId, WriterPublic>,
    segment: u32,
    plain: HashMap<ChunkId, Vec<u8>>,
}

fn named(objects: &BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = (ObjectName, &Vec<u8>)> {
    objects
        .iter()
        .map(|(name, bytes)| (name.parse().expect(name), bytes))
}

impl<'a> Reader<'a> {
    /// Opens the vault by the first slot that the secret opens, and verifies every object.
    pub(crate) fn open(objects: &'a BTreeMap<String, Vec<u8>>, with: Unlock<'_>) -> Self {
        let keys = named(objects)
            .filter(|(name, _)| matches!(name, ObjectName::Slot(_)))
            .find_map(|(_, bytes)| Slot::decode(bytes).unwrap().open(with).ok())
            .expect("a slot opens");
        let description = Description::verify(&keys, &objects["vault.json"]).unwrap();
        let mut reader = Self {
            writers: HashMap::new(),
            segment: description.segment,
            plain: HashMap::new(),
            keys,
            objects,
        };
        for (name, bytes) in named(objects) {
            if let Some(hash) = name.hash() {
                assert_eq!(ObjectHash::of(bytes), hash, "{name}");
            }
            if let ObjectName::Writer(id) = name {
                let writer = Writer::decode(&reader.keys, bytes).unwrap();
                assert_eq!(writer.id(), id);
                reader.writers.insert(id, writer.public);
            }
        }
        named(objects).for_each(|(name, bytes)| reader.take(&name, bytes));
        reader
    }

    fn take(&mut self, name: &ObjectName, bytes: &[u8]) {
        match name {
            ObjectName::Pack(_) => self.pack(bytes),
            ObjectName::Index(_) => {
                let (root, entries) = IndexOpener::read_all(&self.keys, bytes).unwrap();
                for entry in entries {
                    let pack = ObjectName::Pack(root.packs()[entry.pack as usize].hash);
                    assert!(self.objects.contains_key(&pack.to_string()));
                }
            }
            ObjectName::Token { .. } | ObjectName::Session { .. } | ObjectName::Retire(_) => {
                let (author, _) =
                    open_record::<serde_json::Value>(&self.keys, name, bytes, None).unwrap();
                let writer = &self.writers[&author];
                open_record::<serde_json::Value>(&self.keys, name, bytes, Some(writer)).unwrap();
            }
            _ => {}
        }
    }

    fn pack(&mut self, bytes: &[u8]) {
        let opener = PackOpener::new(&self.keys, bytes).unwrap();
        let trailer = Trailer::decode(bytes, bytes.len() as u64).unwrap();
        let sealed = &bytes[trailer.directory_offset as usize..][..trailer.directory_len as usize];
        opener
            .verify(&trailer, sealed, &self.writers[&opener.header().writer()])
            .unwrap();
        let mut decoder = Decoder::new();
        for entry in opener.directory(&trailer, sealed).unwrap().into_entries() {
            let chunk = &bytes[entry.offset as usize..][..entry.stored_len as usize];
            let plain = opener
                .chunk(entry.offset, chunk, entry.plain_len, &mut decoder)
                .unwrap();
            let id = match opener.header().kind() {
                PackKind::Data => self.keys.chunk_id(&plain),
                PackKind::Map => self.keys.node_id(&plain).into(),
            };
            assert_eq!(id, entry.id);
            self.plain.insert(id, plain);
        }
    }

    /// All points, by name.
    pub(crate) fn points(&self) -> Vec<(Outline, Details)> {
        named(self.objects)
            .filter_map(|(name, bytes)| {
                let ObjectName::Point { vm, point, .. } = name else {
                    return None;
                };
                let opener = PointOpener::new(&self.keys, vm, point, bytes).unwrap();
                opener
                    .verify(bytes, &self.writers[&opener.writer()])
                    .unwrap();
                let outline = opener.outline(bytes).unwrap();
                let details = opener.details(bytes, &outline).unwrap();
                Some((outline, details))
            })
            .collect()
    }

    fn node(&self, id: NodeId) -> Node {
        Node::decode(&self.plain[&ChunkId::from(id)], self.segment).unwrap()
    }

    fn leaf(&self, id: NodeId) -> Leaf {
        match self.node(id) {
            Node::Leaf(leaf) => leaf,
            Node::Delta(delta) => delta.apply(&self.node(delta.base()).into_leaf().unwrap()),
            other => panic!("{} in place of a leaf", other.name()),
        }
    }

    /// Writes a layer over `out`, growing or cutting it to the layer's length.
    pub(crate) fn restore(&self, root: NodeId, out: &mut Vec<u8>) {
        let root = self.node(root).into_root().unwrap();
        out.resize(root.len as usize, 0);
        for index in 0..root.segments() {
            let Some(leaf) = self.find(&root, index) else {
                continue;
            };
            leaf.check_chunks(|id| self.plain.get(id).map(|plain| plain.len() as u32))
                .unwrap();
            for entry in leaf.entries() {
                let start = index as usize * self.segment as usize + entry.offset as usize;
                let to = &mut out[start..start + entry.len as usize];
                match entry.target {
                    Target::Zero => to.fill(0),
                    Target::Chunk { id, within } => {
                        to.copy_from_slice(&self.plain[&id][within as usize..][..to.len()]);
                    }
                }
            }
        }
    }

    fn find(&self, root: &Root, index: u64) -> Option<Leaf> {
        let mut at = root.top?;
        for place in root.path(index) {
            at = self.node(at).into_inner().unwrap().child(place)?;
        }
        Some(self.leaf(at))
    }
}
