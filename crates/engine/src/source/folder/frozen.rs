//! A VM of a folder while it is being read.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use disk::layer::Format;
use disk::{ByteRanges, LayerInfo};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::Changed;
use crate::finding::{Code, Finding, Severity};
use crate::source::folder::as_error;
use crate::source::folder::catalog::Catalog;
use crate::source::folder::chosen::Chosen;
use crate::source::folder::fingerprint::Fingerprint;
use crate::source::folder::open::open;
use crate::source::{
    Consistency, DiskUse, End, Finished, FrozenLayer, FrozenView, FrozenVm, MissingLayer, Moved,
    Owner, Request, SourceError, VmRef,
};

/// What is remembered with a point: which disks it was made of. Changed ranges that somebody
/// hands in are relative to exactly these.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    version: u32,
    layers: Vec<TokenLayer>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TokenLayer {
    origin: String,
    len: u64,
    format: String,
    /// The image's own id, which stays the same for life; a raw image has none.
    #[serde(default)]
    image: Option<Uuid>,
}

const TOKEN_VERSION: u32 = 1;

impl Token {
    fn of<'a>(layers: impl Iterator<Item = (&'a str, &'a LayerInfo)>) -> Self {
        Self {
            version: TOKEN_VERSION,
            layers: layers
                .map(|(origin, info)| TokenLayer {
                    origin: origin.to_owned(),
                    len: info.geometry.len,
                    format: info.format.name().to_owned(),
                    image: match &info.format {
                        Format::Raw => None,
                        Format::Vhd(vhd) => Some(vhd.unique_id),
                        Format::Vhdx(vhdx) => Some(vhdx.disk_id),
                    },
                })
                .collect(),
        }
    }
}

/// See the [module](self).
pub(crate) struct FolderVm {
    view: FrozenView,
    watched: Vec<Watched>,
}

impl FolderVm {
    pub(crate) fn new(view: FrozenView, watched: Vec<Watched>) -> Self {
        Self { view, watched }
    }
}

/// A view of a VM with nothing in it yet.
pub(crate) fn blank(vm: &VmRef) -> FrozenView {
    FrozenView {
        id: vm.id,
        name: vm.name.clone(),
        mode: "folder".to_owned(),
        mode_reason: None,
        consistency: Consistency::Crash,
        config: None,
        files: Vec::new(),
        layers: Vec::new(),
        uses: Vec::new(),
        checkpoints: Vec::new(),
        current: None,
        missing: Vec::new(),
        findings: Vec::new(),
        not_covered: Vec::new(),
    }
}

/// A file that should hold still.
pub(crate) struct Watched {
    pub(crate) layer: Option<usize>,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) before: Fingerprint,
}

impl FrozenVm for FolderVm {
    fn view(&self) -> &FrozenView {
        &self.view
    }

    fn recheck(&mut self) -> Vec<Moved> {
        self.watched.iter().filter_map(Watched::moved).collect()
    }

    fn finish(self: Box<Self>, end: End) -> Finished {
        let layers = self.view.layers.iter();
        let token = Token::of(layers.map(|layer| (layer.origin.as_str(), &layer.info)));
        Finished {
            token: match end {
                // A token that cannot be written is none: the next backup reads in full.
                End::Durable => serde_json::to_vec(&token).ok(),
                End::Abandoned => None,
            },
            findings: Vec::new(),
        }
    }
}

impl Watched {
    fn moved(&self) -> Option<Moved> {
        let what = match Fingerprint::of(&self.file) {
            Ok(after) => self.before.difference(&after)?.to_owned(),
            Err(error) => format!("it can no longer be read: {error}"),
        };
        Some(Moved {
            layer: self.layer,
            finding: Finding::new(
                Code::ChangedDuringBackup,
                Severity::Partial,
                self.path.display().to_string(),
                format!("changed during backup: {what}; parts of it are from different moments"),
            )
            .hint("stop what writes to it, or back the VM up from its running host"),
        })
    }
}

/// The frozen view of a family of loose images.
///
/// # Errors
/// When none of them can be opened any more.
pub(crate) fn freeze_loose(
    catalog: &Catalog,
    family: &[usize],
    vm: &VmRef,
    request: &Request,
    changed: Option<&ByteRanges>,
) -> Result<Box<dyn FrozenVm>, SourceError> {
    let mut view = blank(vm);
    let mut watched = Vec::new();
    let chosen = Chosen::of_family(catalog, family, &request.disks);
    let places = add_layers(catalog, &chosen.images, &mut view, &mut watched)?;
    chosen.tell(&mut view);
    for (slot, image) in family
        .iter()
        .filter(|i| !catalog.images[**i].interior)
        .enumerate()
    {
        if let Some(layer) = places.get(image) {
            view.uses.push(DiskUse {
                owner: Owner::Vm,
                slot: format!("disk {slot}"),
                layer: *layer,
                consistency: at_rest(&Owner::Vm, &view.layers[*layer].info),
            });
        }
    }
    say_what_changed(&mut view, request, changed);
    view.consistency = consistency(&view);
    Ok(Box::new(FolderVm::new(view, watched)))
}

/// Opens `images` and adds them to the view, parents first. Tells the place of each.
///
/// # Errors
/// When there are images and none of them can be opened.
pub(crate) fn add_layers(
    catalog: &Catalog,
    images: &[usize],
    view: &mut FrozenView,
    watched: &mut Vec<Watched>,
) -> Result<HashMap<usize, usize>, SourceError> {
    let mut order: Vec<usize> = images.to_vec();
    let depth = |image: usize| {
        let parents = std::iter::successors(Some(image), |i| catalog.images[*i].parent);
        parents.count()
    };
    order.sort_by_key(|image| (depth(*image), *image));
    let mut places = HashMap::new();
    let mut last_error = None;
    for index in order {
        let image = &catalog.images[index];
        let origin = image.file.path.display().to_string();
        let opened = match open(&image.file.path) {
            Ok(opened) => opened,
            Err(finding) => {
                view.missing.push(MissingLayer {
                    name: image.file.rel.to_string(),
                    why: finding.message.clone(),
                    needed_by: vec![Owner::Vm],
                    by_choice: false,
                });
                last_error = Some(as_error(&finding));
                view.findings.push(finding);
                continue;
            }
        };
        if let Some(orphan) = &image.orphan {
            view.missing.push(MissingLayer {
                name: format!("parent of {}", image.file.rel),
                why: orphan.message.clone(),
                needed_by: vec![Owner::Vm],
                by_choice: false,
            });
            view.findings.push(orphan.clone());
        }
        for note in &opened.notes {
            view.findings.push(
                Finding::new(
                    Code::DiskDamaged,
                    Severity::Warning,
                    origin.clone(),
                    note.clone(),
                )
                .hint("compare it with where it was copied from; if it is the same there, look at it in its guest"),
            );
        }
        if matches!(&opened.info.format, Format::Vhdx(vhdx) if vhdx.dirty_log) {
            view.findings.push(
                Finding::new(
                    Code::DirtyLog,
                    Severity::Warning,
                    origin.clone(),
                    "was not closed cleanly; it was read with its log applied, as after a power cut",
                )
                .hint("if the VM is running, back it up from its host instead"),
            );
        }
        let place = view.layers.len();
        places.insert(index, place);
        watched.push(Watched {
            layer: Some(place),
            path: image.file.path.clone(),
            file: opened.file,
            before: opened.before,
        });
        view.layers.push(FrozenLayer {
            path: image.file.rel.clone(),
            origin,
            read_from: None,
            place: None,
            info: opened.info,
            parent: image.parent.and_then(|parent| places.get(&parent).copied()),
            interior: image.interior,
            changed: Changed::Unknown {
                why: "a folder keeps no account of changes".to_owned(),
            },
            data: opened.data,
        });
    }
    match last_error {
        Some(error) if view.layers.is_empty() => Err(error),
        _ => Ok(places),
    }
}

/// Applies changed ranges that were handed in, if they are about the disk as the last point has it.
fn say_what_changed(view: &mut FrozenView, request: &Request, changed: Option<&ByteRanges>) {
    let ([layer], Some(ranges)) = (view.layers.as_mut_slice(), changed) else {
        return;
    };
    let unknown = |why: &str| Changed::Unknown {
        why: why.to_owned(),
    };
    let token = request
        .token
        .as_deref()
        .map(serde_json::from_slice::<Token>);
    let now = Token::of([(layer.origin.as_str(), &layer.info)].into_iter());
    layer.changed = match token {
        _ if request.full => unknown("a full backup was asked for"),
        None => unknown("there is no earlier point that the changed ranges could be relative to"),
        Some(Ok(then)) if then == now => Changed::Ranges(ranges.clone()),
        Some(_) => unknown("the disk is not the one of the last point, or its size has changed"),
    };
    if let Changed::Unknown { why } = &layer.changed
        && !request.full
    {
        view.findings.push(Finding::note(
            Code::ReadInFull,
            layer.origin.clone(),
            format!("read in full: {why}"),
        ));
    }
}

/// What can honestly be said: an image that was closed cleanly was not in use. Of formats that do
/// not tell, the least is assumed.
pub(crate) fn consistency(view: &FrozenView) -> Consistency {
    let leaves = view.layers.iter().filter(|layer| !layer.interior);
    let least = leaves.map(|leaf| closed(&leaf.info)).min();
    let disks = view.uses.iter().filter(|used| used.owner == Owner::Vm);
    let least = disks.fold(least, |least, used| least.min(used.consistency.or(least)));
    least.unwrap_or(Consistency::Crash)
}

/// The same of one disk. No file tells in which state of its VM a checkpoint was taken.
pub(crate) fn at_rest(owner: &Owner, topmost: &LayerInfo) -> Option<Consistency> {
    (*owner == Owner::Vm).then(|| closed(topmost))
}

fn closed(info: &LayerInfo) -> Consistency {
    match &info.format {
        Format::Vhdx(vhdx) if !vhdx.dirty_log => Consistency::Offline,
        _ => Consistency::Crash,
    }
}
