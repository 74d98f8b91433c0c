use super::*;

const ID: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const INNER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn containers_are_found_in_every_shape_of_cgroup() {
    let shapes = [
        format!("12:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service\n"),
        format!("0::/system.slice/docker-{ID}.scope\n"),
        format!("0::/system.slice/docker-{ID}.scope/init.scope\n"),
        format!("0::/../{ID}\n"),
        format!(
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod5b1c_4f.slice/cri-containerd-{ID}.scope\n"
        ),
        format!("4:cpu,cpuacct:/kubepods/burstable/pod5b1c-4f/{ID}\n"),
        format!("0::/machine.slice/libpod-{ID}.scope/container\n"),
        format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n"),
        format!("0::/kubepods.slice/crio-{ID}.scope\n"),
        format!("0::/docker/{ID}/docker/{INNER}\n"),
    ];
    for shape in shapes {
        assert_eq!(container(&shape).as_deref(), Some(ID), "{shape}");
    }
}

#[test]
fn what_is_no_container_has_none() {
    for shape in [
        "0::/\n".to_owned(),
        "0::/user.slice/user-1000.slice/session-3.scope\n".to_owned(),
        format!("0::/machine.slice/libpod-conmon-{ID}.scope\n"),
        format!("0::/system.slice/docker-{}.scope\n", &ID[1..]),
        format!("0::/docker/{}\n", ID.to_uppercase()),
        String::new(),
        "garbage".to_owned(),
    ] {
        assert_eq!(container(&shape), None, "{shape}");
    }
}

/// A `/proc` with one process, and a passwd file.
fn host() -> (tempdir::Folder, PathBuf, PathBuf) {
    let folder = tempdir::Folder::new();
    let (proc_root, passwd) = (folder.0.join("proc"), folder.0.join("passwd"));
    std::fs::create_dir_all(proc_root.join("42")).expect("folder");
    std::fs::write(proc_root.join("42/cgroup"), format!("0::/system.slice/docker-{ID}.scope\n")).expect("file");
    std::fs::write(proc_root.join("42/status"), "Name:\tpython3\nUid:\t1000\t1000\t1000\t1000\n").expect("file");
    std::fs::write(&passwd, "root:x:0:0::/root:/bin/sh\nfilm:x:1000:1000::/:/bin/sh\nalias:x:1000:1::/:/\n")
        .expect("file");
    (folder, proc_root, passwd)
}

mod tempdir {
    pub struct Folder(pub std::path::PathBuf);

    impl Folder {
        pub fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("fleetlight-gpu-{}", uuid::Uuid::new_v4()));
            std::fs::create_dir_all(&folder).expect("a folder for the test");
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

fn on_gpu(pids: &[u32]) -> Vec<GpuReading> {
    let process = |&pid| ProcessReading { pid, compute: true, ..ProcessReading::default() };
    vec![GpuReading { uuid: "GPU-a".into(), processes: pids.iter().map(process).collect(), ..GpuReading::default() }]
}

fn user(documents: &[Document]) -> Option<&str> {
    match &documents.first()?.body {
        Some(Body::GpuProcess(document)) => document.user.as_deref(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_containers_user_goes_before_the_account_and_may_come_later() {
    let (_folder, proc_root, passwd) = host();
    let names = Arc::new(ContainerNames::default());
    let pattern = UserPattern::new(Some("^comfy-(user[0-9]+)$"));
    let mut attribution = Attribution::new(proc_root, passwd, Arc::clone(&names), pattern);

    let first = attribution.changes(&on_gpu(&[42]), 1);
    assert_eq!(first[0].key, "GPU-a/42");
    assert_eq!(user(&first), Some("film"), "the first account of that id");
    assert!(attribution.changes(&on_gpu(&[42]), 2).is_empty(), "said once");

    names.insert(ID, "comfy-user007");
    assert_eq!(user(&attribution.changes(&on_gpu(&[42]), 3)), Some("user007"));

    let gone = attribution.changes(&on_gpu(&[]), 4);
    assert_eq!((gone[0].key.as_str(), &gone[0].body), ("GPU-a/42", &None));
}

#[test]
fn an_account_without_a_name_is_its_number_and_a_dead_process_has_none() {
    let (_folder, proc_root, passwd) = host();
    std::fs::write(&passwd, "root:x:0:0::/root:/bin/sh\n").expect("file");
    let (names, pattern) = (Arc::default(), UserPattern::default());
    let mut attribution = Attribution::new(proc_root, passwd, names, pattern);
    assert_eq!(user(&attribution.changes(&on_gpu(&[42]), 1)), Some("1000"));
    let dead = attribution.changes(&on_gpu(&[42, 43]), 2);
    assert_eq!((dead[0].key.as_str(), user(&dead)), ("GPU-a/43", None));
}
