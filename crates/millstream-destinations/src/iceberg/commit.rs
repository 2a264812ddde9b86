//! The files of a commit: data and deletes, their manifests, and the list of all manifests.

use std::collections::HashSet;
use std::sync::Arc;

use millstream_iceberg::{
    Change, DataFile, FileKind, ManifestContent, NewSnapshot, Plan, Target, manifest,
    manifest_list, read_manifest_list, write_file,
};

use super::catalog::{Loaded, table_failure};
use super::{Iceberg, blocking};
use crate::{Delivery, Failure};

/// Files that are put, but in no snapshot yet.
#[derive(Debug)]
pub(super) struct Written {
    data: Vec<DataFile>,
    deletes: Vec<DataFile>,
    partitions: usize,
    form: Form,
}

/// What files depend on beside their rows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Form {
    uuid: String,
    schema_id: i64,
    spec_ids: [i32; 2],
    location: String,
}

impl Form {
    fn new(loaded: &Loaded, target: &Target) -> Self {
        Self {
            uuid: loaded.metadata.uuid().to_owned(),
            schema_id: target.schema().id(),
            spec_ids: [FileKind::Data, FileKind::Deletes].map(|kind| target.spec(kind).id()),
            location: loaded.metadata.data_location(),
        }
    }
}

impl Written {
    /// Whether the table as it is now would have them written the same.
    pub(super) fn fits(&self, loaded: &Loaded, target: &Target) -> bool {
        self.form == Form::new(loaded, target)
    }
}

impl Iceberg {
    /// Puts the files of a plan, one at a time.
    pub(super) async fn write(
        &self,
        loaded: &Loaded,
        target: &Target,
        plan: &Plan,
        changes: &Arc<[Change]>,
        delivery: &Delivery,
    ) -> Result<Written, Failure> {
        let form = Form::new(loaded, target);
        let Form { schema_id, spec_ids: [spec, _], .. } = form;
        let (mut data, mut deletes) = (Vec::new(), Vec::new());
        let mut partitions = HashSet::new();
        for (number, file) in plan.files.iter().enumerate() {
            partitions.insert(&file.directory);
            let contents = {
                let (file, changes, target) = (file.clone(), Arc::clone(changes), target.clone());
                blocking(move || write_file(&file, &changes, &target)).await?
            };
            let gap = if file.directory.is_empty() { "" } else { "/" };
            let kind = match file.kind {
                FileKind::Data => "",
                FileKind::Deletes => "-deletes",
            };
            let (folder, directory, session) = (&form.location, &file.directory, &self.session);
            let location = format!(
                "{folder}/{directory}{gap}{}-{session}-{schema_id}-{spec}-{number:05}{kind}.parquet",
                delivery.id
            );
            self.tables.storage.write(&location, contents.chunks.clone()).await?;
            let listed = contents.listed(location);
            match file.kind {
                FileKind::Data => data.push(listed),
                FileKind::Deletes => deletes.push(listed),
            }
        }
        let partitions = partitions.len();
        Ok(Written { data, deletes, partitions, form })
    }

    /// Puts the manifests of a commit on top of what was loaded, and says what to commit.
    pub(super) async fn prepare(
        &self,
        loaded: &Loaded,
        target: &Target,
        files: &Written,
        identity: &str,
    ) -> Result<NewSnapshot, Failure> {
        let broken = |error| table_failure(&error);
        let (table, storage) = (&loaded.metadata, &self.tables.storage);
        let id = draw_id(self.tables.rand.next_u64());
        let sequence_number = table.next_sequence_number();
        let (folder, unique) = (table.metadata_location(), self.tables.unique());
        let mut manifests = Vec::new();
        let kinds = [
            (&files.data, FileKind::Data, ManifestContent::Data),
            (&files.deletes, FileKind::Deletes, ManifestContent::Deletes),
        ];
        for (number, (files, kind, content)) in kinds.into_iter().enumerate() {
            if files.is_empty() {
                continue;
            }
            let by = (target.schema(), target.spec(kind));
            let (bytes, mut listed) = manifest(files, content, by, (id, sequence_number));
            listed.location = format!("{folder}/{unique}-m{number}.avro");
            storage.write(&listed.location, vec![bytes.into()]).await?;
            manifests.push(listed);
        }
        let parent = table.snapshot().map_err(broken)?;
        if let Some(parent) = &parent {
            let list = storage.read(&parent.manifest_list).await?;
            let list = blocking(move || read_manifest_list(&list)).await?;
            manifests.extend(list.map_err(broken)?);
        }
        let list = format!("{folder}/snap-{id}-1-{unique}.avro");
        let ids = (id, parent.map(|parent| parent.id));
        let bytes = manifest_list(&manifests, ids, sequence_number);
        storage.write(&list, vec![bytes.into()]).await?;
        let is_new = !files.deletes.is_empty();
        Ok(NewSnapshot {
            id,
            sequence_number,
            at_ms: self.tables.clock.now().ms(),
            manifest_list: list,
            schema_id: target.schema().id(),
            delivery: identity.to_owned(),
            data: totals(&files.data),
            deletes: totals(&files.deletes),
            partitions: files.partitions,
            spec: target.missing_spec().filter(|_| is_new).cloned(),
        })
    }
}

/// A snapshot's number: positive, and not 0.
fn draw_id(random: u64) -> i64 {
    (random >> 1).cast_signed().max(1)
}

/// Files, rows, and bytes.
fn totals(files: &[DataFile]) -> [u64; 3] {
    let rows = files.iter().map(|file| file.rows).sum();
    [files.len() as u64, rows, files.iter().map(|file| file.bytes).sum()]
}
