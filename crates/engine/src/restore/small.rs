//! Files of a restore point that are read as a whole, for people to look at.

use vault::Vault;

use crate::restore::Opened;

impl Opened {
    /// The bytes of a file that the point has under this path; `None` if it has none, or one that is
    /// longer than `most`.
    ///
    /// # Errors
    /// When it cannot be read from the vault.
    pub fn file(
        &self,
        vault: &Vault,
        path: &str,
        most: u64,
    ) -> Result<Option<Vec<u8>>, vault::Error> {
        let files = self.details.files.iter().zip(&self.file_roots);
        let mut same = files.filter(|(file, _)| file.path.as_str() == path);
        let Some((_, root)) = same.next() else {
            return Ok(None);
        };
        let reader = vault.disk(root)?;
        if reader.len() > most {
            return Ok(None);
        }
        let Ok(len) = usize::try_from(reader.len()) else {
            return Ok(None);
        };
        let mut bytes = vec![0; len];
        reader.read_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }
}
