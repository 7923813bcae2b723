//! A writer of dynamic disks, for tests alone: from the description of the format, and without a line of the
//! reader.

/// Sectors of the database and all around it.
pub(crate) const CONFIG: u64 = 2048;
/// Where the database proper begins there, and its sectors.
pub(crate) const DATABASE: u64 = 17;
const DATABASE_LEN: u64 = 1481;
/// Where on a disk what belongs to volumes begins.
pub(crate) const DATA: u64 = 63;
const SECTOR: usize = 512;
pub(crate) const GROUP: &str = "11111111-2222-3333-4444-555555555555";
const HOST: &str = "99999999-c717-11d0-a5be-00a0c91db73c";

/// A part of a volume: its disk, where there it begins, where in its component, and its length; in sectors.
pub(crate) type Part = (usize, u64, u64, u64);

/// A volume of components, each of a layout (1 striped, 2 one behind the other, 3 RAID-5) and parts.
pub(crate) struct Volume<'a> {
    pub(crate) name: &'a str,
    pub(crate) len: u64,
    pub(crate) components: &'a [(u8, &'a [Part])],
}

pub(crate) fn id(disk: usize) -> String {
    format!("aaaaaaaa-0000-0000-0000-{disk:012}")
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn zeros(self, count: usize) -> Self {
        let to = self.0.len() + count;
        self.up_to(to)
    }

    fn up_to(mut self, len: usize) -> Self {
        self.0.resize(len, 0);
        self
    }

    /// A number of so many bytes.
    fn number(self, number: u64, len: usize) -> Self {
        self.raw(&number.to_be_bytes()[8 - len..])
    }

    /// A number behind its length.
    fn sized(self, number: u64) -> Self {
        let len = (8 - number.leading_zeros() as usize / 8).max(1);
        self.raw(&[len as u8]).number(number, len)
    }

    fn text(self, text: &str) -> Self {
        self.raw(&[text.len() as u8]).raw(text.as_bytes())
    }

    fn padded(self, text: &str, len: usize) -> Self {
        let end = self.0.len() + len;
        self.raw(text.as_bytes()).up_to(end)
    }
}

fn record(kind: u8, flags: u8, body: Bytes) -> Vec<u8> {
    let head = Bytes::default().zeros(2).raw(&[flags, kind]);
    head.number(body.0.len() as u64, 4).raw(&body.0).0
}

/// The database proper; its records lie in blocks of 128 bytes.
pub(crate) fn database(name: &str, disks: usize, volumes: &[Volume<'_>]) -> Vec<u8> {
    let mut next = 1;
    let mut object = || {
        next += 1;
        Bytes::default().sized(next - 1)
    };
    let mut records = Vec::new();
    let group = object().text(name).text(GROUP).zeros(4).number(1, 8);
    records.push(record(0x35, 0, group));
    for disk in 0..disks {
        let body = object().text(&format!("Disk{}", disk + 1)).text(&id(disk));
        records.push(record(0x34, 0, body.text("").zeros(4).number(1, 8)));
    }
    let disk_object = |disk: usize| disk as u64 + 2;
    let (mut components, mut parts) = (0, 0);
    let mut at = disks as u64 + 2;
    for volume in volumes {
        let volume_object = at;
        let body = object()
            .text(volume.name)
            .text("gen")
            // Whether it has no drive letter; of most nothing is told.
            .text(if at.is_multiple_of(2) { "1" } else { "" })
            .padded("ACTIVE", 14);
        let body = body.raw(&[3, 1, 5]).zeros(3).raw(&[0x11]);
        let body = body
            .sized(volume.components.len() as u64)
            .number(1, 8)
            .zeros(8);
        let body = body.sized(volume.len).zeros(4).raw(&[7]).raw(&[0x56; 16]);
        records.push(record(0x51, 0, body));
        at += 1;
        for (layout, of_it) in volume.components {
            let component_object = at;
            let flags = if *layout == 2 { 0 } else { 0x10 };
            let name = format!("{}-{:02}", volume.name, components + 1);
            let body = object().text(&name).text("ACTIVE").raw(&[*layout]).zeros(4);
            let count = of_it.len() as u64;
            let mut body = body
                .sized(count)
                .number(1, 8)
                .zeros(8)
                .sized(volume_object)
                .zeros(1);
            if flags != 0 {
                body = body.sized(128).sized(count);
            }
            records.push(record(0x32, flags, body));
            at += 1;
            components += 1;
            for (number, (disk, start, offset, len)) in of_it.iter().enumerate() {
                let name = format!("Disk{}-{:02}", disk + 1, parts + 1);
                let body = object().text(&name).zeros(4).number(1, 8);
                let body = body.number(*start, 8).number(*offset, 8).sized(*len);
                let mut body = body.sized(component_object).sized(disk_object(*disk));
                if flags != 0 {
                    body = body.sized(number as u64);
                }
                let flags = if flags == 0 { 0 } else { 0x08 };
                records.push(record(0x33, flags, body));
                at += 1;
                parts += 1;
            }
        }
    }
    let mut blocks = Bytes::default();
    let mut sequence = 4;
    for (number, record) in (1..).zip(&records) {
        let pieces = record.chunks(112);
        let count = pieces.len() as u64;
        for (at, piece) in (0..).zip(pieces) {
            let end = blocks.0.len() + 128;
            let head = blocks.raw(b"VBLK").number(sequence, 4).number(number, 4);
            blocks = head.number(at, 2).number(count, 2).raw(piece).up_to(end);
            sequence += 1;
        }
    }
    let head = Bytes::default()
        .raw(b"VMDB")
        .number(sequence - 1, 4)
        .number(128, 4);
    let head = head.number(512, 4).number(1, 2).number(4, 2).number(10, 2);
    let mut head = head
        .padded(name, 31)
        .padded(GROUP, 64)
        .number(7, 8)
        .number(7, 8);
    for _ in 0..2 {
        for count in [volumes.len() as u64, components, parts, disks as u64] {
            head = head.number(count, 4);
        }
        head = head.zeros(12);
    }
    head.up_to(SECTOR).raw(&blocks.0).0
}

/// The private header of a disk, whose database begins in a sector.
pub(crate) fn header(disk: usize, name: &str, config: u64) -> Vec<u8> {
    let head = Bytes::default()
        .raw(b"PRIVHEAD")
        .zeros(4)
        .number(2, 2)
        .number(11, 2)
        .zeros(32);
    let head = head
        .padded(&id(disk), 64)
        .padded(HOST, 64)
        .padded(GROUP, 64)
        .padded(name, 32);
    let head = head.up_to(0x11b).number(DATA, 8).number(config - DATA, 8);
    let head = head
        .number(config, 8)
        .number(CONFIG, 8)
        .number(1, 8)
        .number(CONFIG - 2, 8);
    let head = head
        .number(1, 4)
        .number(1, 4)
        .number(DATABASE_LEN, 8)
        .number(224, 8);
    head.up_to(SECTOR).0
}

/// The table of contents.
pub(crate) fn contents() -> Vec<u8> {
    let head = Bytes::default()
        .raw(b"TOCBLOCK")
        .number(1, 4)
        .zeros(4)
        .number(1, 4)
        .zeros(16);
    let head = head
        .padded("config", 8)
        .zeros(2)
        .number(DATABASE, 8)
        .number(DATABASE_LEN, 8);
    let head = head
        .zeros(8)
        .padded("log", 8)
        .zeros(2)
        .number(DATABASE + DATABASE_LEN, 8);
    head.number(224, 8).up_to(SECTOR).0
}

/// A disk with an MBR: all copies of header and contents, and the database.
pub(crate) fn disk(sectors: u64, header: &[u8], contents: &[u8], database: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; sectors as usize * SECTOR];
    let config = sectors - CONFIG;
    let mut put = |sector: u64, what: &[u8]| {
        bytes[sector as usize * SECTOR..][..what.len()].copy_from_slice(what);
    };
    for at in [6, config + 1856, config + 2047] {
        put(at, header);
    }
    for at in [1, 2, 2045, 2046] {
        put(config + at, contents);
    }
    put(config + DATABASE, database);
    bytes[446 + 4] = 0x42;
    bytes[446 + 8..][..4].copy_from_slice(&(DATA as u32).to_le_bytes());
    bytes[446 + 12..][..4].copy_from_slice(&((config - DATA) as u32).to_le_bytes());
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

/// A group of disks of so many sectors.
pub(crate) fn group(
    name: &str,
    disks: usize,
    sectors: u64,
    volumes: &[Volume<'_>],
) -> Vec<Vec<u8>> {
    let database = database(name, disks, volumes);
    let contents = contents();
    let one = |number| {
        let header = header(number, name, sectors - CONFIG);
        disk(sectors, &header, &contents, &database)
    };
    (0..disks).map(one).collect()
}
