//! The user's kubeconfig file. Everything in it that is not hatchery's stays, but for comments and layout, as with `kubectl config`.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlEmitter, YamlLoader};

use super::access::{ClusterAccess, TLS_SERVER_NAME, server};
use crate::failure::{Failure, Kind};

/// A kubeconfig file that is locked against other programs, and its next content.
pub(crate) struct KubeconfigFile {
    path: PathBuf,
    root: Hash,
    _lock: Option<Lock>,
}

impl KubeconfigFile {
    /// Reads the file that kubectl writes new contexts to, if it exists.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or written, or is not a kubeconfig. It stays as it is.
    pub(crate) fn open() -> Result<Self, Failure> {
        let path = default_path()?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| failure("create", folder, &error))?;
        }
        let lock = Lock::take(&path)?;
        Self::read(path, Some(lock))
    }

    /// As [`Self::open`], without the intention to change it.
    pub(crate) fn look_at() -> Result<Self, Failure> {
        Self::read(default_path()?, None)
    }

    fn read(path: PathBuf, lock: Option<Lock>) -> Result<Self, Failure> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failure("read", &path, &error)),
        };
        if lock.is_some() && fs::metadata(&path).is_ok_and(|metadata| metadata.permissions().readonly()) {
            let message = format!("{} is read-only", path.display());
            let hint = "make it writable, or set KUBECONFIG to another file";
            return Err(Failure::new(Kind::Failed, message, hint));
        }
        let root = parse(&text).map_err(|reason| {
            let message = format!("{} is not a kubeconfig: {reason}", path.display());
            Failure::new(
                Kind::Failed,
                message,
                "correct it, or set KUBECONFIG to another file; it is unchanged",
            )
        })?;
        Ok(Self { path, root, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the port of this computer that a context's cluster is behind.
    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        let clusters = self.root.get(&key("clusters"))?.as_vec()?;
        let cluster = clusters.iter().find(|cluster| cluster["name"].as_str() == Some(name))?;
        cluster["cluster"]["server"].as_str()?.strip_prefix("https://127.0.0.1:")?.parse().ok()
    }

    /// Adds or replaces a context with its cluster and its user. The current context stays, unless there is none.
    pub(crate) fn set(&mut self, name: &str, access: &ClusterAccess, port: u16) -> Result<(), Failure> {
        for (list, entry) in entries(name, access, port) {
            let list = self.list(list)?;
            match list.iter_mut().find(|entry| entry["name"].as_str() == Some(name)) {
                Some(old) => *old = entry,
                None => list.push(entry),
            }
        }
        if self.current().is_none_or(str::is_empty) {
            self.set_current(name);
        }
        Ok(())
    }

    /// Removes a context with its cluster and its user; returns whether anything was there.
    pub(crate) fn remove(&mut self, name: &str) -> Result<bool, Failure> {
        let mut removed = false;
        for list in ["clusters", "users", "contexts"] {
            if self.root.contains_key(&key(list)) {
                let list = self.list(list)?;
                let before = list.len();
                list.retain(|entry| entry["name"].as_str() != Some(name));
                removed |= list.len() < before;
            }
        }
        if self.current() == Some(name) {
            self.set_current("");
            removed = true;
        }
        Ok(removed)
    }

    /// Writes the file, which only its user can read then. A crash leaves either the old or the new one.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let text = emit(&self.root)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            // A temporary file has the mode 600.
            let mut file = NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map(|_| ()).map_err(|error| error.error)
        };
        write().map_err(|error| failure("write", &self.path, &error))
    }

    fn set_current(&mut self, name: &str) {
        // An insertion would move the key to the end.
        match self.root.get_mut(&key("current-context")) {
            Some(current) => *current = key(name),
            None => {
                self.root.insert(key("current-context"), key(name));
            }
        }
    }

    fn current(&self) -> Option<&str> {
        self.root.get(&key("current-context"))?.as_str()
    }

    fn list(&mut self, name: &str) -> Result<&mut Vec<Yaml>, Failure> {
        let path = self.path.display().to_string();
        if self.root.get(&key(name)).is_none_or(Yaml::is_null) {
            self.root.insert(key(name), Yaml::Array(Vec::new()));
        }
        self.root.get_mut(&key(name)).and_then(Yaml::as_mut_vec).ok_or_else(|| {
            let message = format!("{path} is not a kubeconfig: {name} is not a list");
            Failure::new(
                Kind::Failed,
                message,
                "correct it, or set KUBECONFIG to another file; it is unchanged",
            )
        })
    }
}

/// Returns a kubeconfig with one context, as text.
pub(crate) fn document(name: &str, access: &ClusterAccess, port: u16) -> Result<String, Failure> {
    let mut root = empty();
    for (list, entry) in entries(name, access, port) {
        root.insert(key(list), Yaml::Array(vec![entry]));
    }
    root.insert(key("current-context"), key(name));
    emit(&root)
}

/// Returns the cluster, the user and the context of an environment, with the lists that they belong to.
fn entries(name: &str, access: &ClusterAccess, port: u16) -> [(&'static str, Yaml); 3] {
    let server = server(port);
    let cluster = map(&[
        ("certificate-authority-data", &access.certificate_authority),
        ("server", &server),
        ("tls-server-name", TLS_SERVER_NAME),
    ]);
    let user = map(&[("token", &access.token)]);
    let context = map(&[("cluster", name), ("namespace", "default"), ("user", name)]);
    let entry =
        |kind: &str, value| Yaml::Hash([(key("name"), key(name)), (key(kind), value)].into_iter().collect());
    [
        ("clusters", entry("cluster", cluster)),
        ("users", entry("user", user)),
        ("contexts", entry("context", context)),
    ]
}

fn key(text: &str) -> Yaml {
    Yaml::String(text.to_owned())
}

fn map(pairs: &[(&str, &str)]) -> Yaml {
    Yaml::Hash(pairs.iter().map(|(name, value)| (key(name), key(value))).collect())
}

fn empty() -> Hash {
    [(key("apiVersion"), key("v1")), (key("kind"), key("Config"))].into_iter().collect()
}

/// Parses a kubeconfig. An empty file is an empty one.
fn parse(text: &str) -> Result<Hash, String> {
    let mut documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    match (documents.pop(), documents.is_empty()) {
        (None | Some(Yaml::Null), true) => Ok(empty()),
        (Some(Yaml::Hash(root)), true) => Ok(root),
        (_, false) => Err("it has several documents".to_owned()),
        _ => Err("it is not a mapping".to_owned()),
    }
}

fn emit(root: &Hash) -> Result<String, Failure> {
    let cannot =
        |reason: &str| Failure::new(Kind::Failed, format!("cannot write the kubeconfig: {reason}"), "");
    let (mut text, document) = (String::new(), Yaml::Hash(root.clone()));
    YamlEmitter::new(&mut text).dump(&document).map_err(|error| cannot(&error.to_string()))?;
    text.push('\n');
    // What cannot be read back must not replace the user's file.
    if parse(&text).as_ref() != Ok(root) {
        return Err(cannot("it has something that cannot be written as YAML"));
    }
    Ok(text)
}

/// Returns the first file of `KUBECONFIG`, else `~/.kube/config`. Of a link, the file that it leads to.
fn default_path() -> Result<PathBuf, Failure> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let named = std::env::split_paths(&named).find(|path| !path.as_os_str().is_empty());
    let path = named.or_else(|| Some(std::env::home_dir()?.join(".kube/config"))).ok_or_else(|| {
        Failure::new(Kind::Failed, "your home folder is unknown", "set KUBECONFIG to a file")
    })?;
    Ok(fs::canonicalize(&path).unwrap_or(path))
}

fn failure(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot {verb} {}: {error}", path.display());
    Failure::new(Kind::Failed, message, "check it, or set KUBECONFIG to another file")
}

/// The lock file that kubectl takes too.
/// <https://github.com/kubernetes/client-go/blob/master/tools/clientcmd/loader.go>
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self, Failure> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        match fs::File::create_new(&lock) {
            Ok(_) => Ok(Self(lock)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let message = format!("another program changes {}", path.display());
                let hint = format!("try again; if none does, remove {}", lock.display());
                Err(Failure::new(Kind::Failed, message, hint))
            }
            Err(error) => Err(failure("lock", path, &error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The next program says which file is in its way.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rstest::rstest;

    use super::*;

    const OTHERS: &str = "\
apiVersion: v1
kind: Config
preferences: {}
current-context: prod
clusters:
- name: prod
  cluster: {server: 'https://prod.example.org', insecure-skip-tls-verify: true}
users:
- name: prod
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, args: [--region, eu-west-1, '1.0', \"yes\"], env: null}
contexts:
- {name: prod, context: {cluster: prod, user: prod}}
extensions: [{name: note, extension: \"a: b # c\\n\\ttab\"}]
";

    fn access(token: &str) -> ClusterAccess {
        ClusterAccess {
            certificate_authority: "Y2VydA==".to_owned(),
            token: token.to_owned(),
            expires_at: DateTime::UNIX_EPOCH,
        }
    }

    fn file(folder: &Path, text: &str) -> KubeconfigFile {
        let path = folder.join("config");
        fs::write(&path, text).unwrap();
        KubeconfigFile::read(path, None).unwrap()
    }

    #[test]
    fn other_contexts_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = file(folder.path(), OTHERS);
        file.set("hatchery-dev-1", &access("first"), 40_000).unwrap();
        file.set("hatchery-dev-1", &access("second"), 40_000).unwrap();
        file.save().unwrap();
        let mut file = KubeconfigFile::read(file.path().to_owned(), None).unwrap();
        assert_eq!(file.port("hatchery-dev-1"), Some(40_000));
        assert_eq!(file.current(), Some("prod"));
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("token: second") && !text.contains("first"), "{text}");
        assert!(file.remove("hatchery-dev-1").unwrap());
        assert_eq!(file.root, parse(OTHERS).unwrap());
        assert!(!file.remove("hatchery-dev-1").unwrap());
    }

    #[rstest]
    #[case::empty("")]
    #[case::without_contexts(
        "apiVersion: v1\nkind: Config\nclusters: null\ncontexts: []\ncurrent-context: \"\"\n"
    )]
    fn first_context_becomes_the_current_one(#[case] text: &str) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = file(folder.path(), text);
        file.set("hatchery-dev-1", &access("token"), 40_000).unwrap();
        assert_eq!(file.current(), Some("hatchery-dev-1"));
        file.remove("hatchery-dev-1").unwrap();
        assert_eq!(file.current(), Some(""));
    }

    #[rstest]
    #[case::not_yaml("a: [", "not a kubeconfig")]
    #[case::list("- a", "it is not a mapping")]
    #[case::two_documents("a: 1\n---\nb: 2\n", "several documents")]
    #[case::repeated_key("clusters: []\nclusters: []\n", "not a kubeconfig")]
    fn broken_file_is_an_error(#[case] text: &str, #[case] reason: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, text).unwrap();
        let Err(failure) = KubeconfigFile::read(path, None) else { panic!("it is read") };
        assert!(failure.message.contains(reason), "{}", failure.message);
    }

    #[test]
    fn wrong_list_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = file(folder.path(), "clusters: 3\n");
        let failure = file.set("hatchery-dev-1", &access("token"), 1).unwrap_err();
        assert!(failure.message.ends_with("clusters is not a list"), "{}", failure.message);
    }

    #[cfg(unix)]
    #[test]
    fn saved_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mut file = file(folder.path(), "");
        file.set("hatchery-dev-1", &access("token"), 1).unwrap();
        file.save().unwrap();
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
