use super::*;
use proptest::prelude::*;

const ID: &str = "5001cea49bbd56ef7b70d8d13f825e7e1ad18ad18fd22d89626dbc1e1ea58752";

#[test]
fn the_path_of_a_controller_is_found_and_cut_at_the_container() {
    let hybrid =
        format!("4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}/init.scope\n1:name=systemd:/x\n0::/docker/{ID}\n");
    assert_eq!(path_of(&hybrid, "memory"), Some(format!("/docker/{ID}").as_str()));
    let cpu = path_of(&hybrid, "cpuacct").expect("has a line");
    assert_eq!(through(cpu, ID), Some(format!("/docker/{ID}").as_str()));
    assert_eq!(path_of(&hybrid, ""), Some(format!("/docker/{ID}").as_str()));
    assert_eq!(path_of(&hybrid, "blkio"), None);
    let scope = format!("/system.slice/docker-{ID}.scope/system.slice/x.service");
    assert_eq!(through(&scope, ID), Some(format!("/system.slice/docker-{ID}.scope").as_str()));
}

#[test]
fn a_process_of_another_container_does_not_belong() {
    assert!(belongs(&format!("0::/../{ID}"), ID));
    assert!(!belongs("0::/docker/0d2f38e466aad5c2d3d799ac56da702276d937b7cdaafe51a4ff5b502a727147", ID));
    assert!(!belongs("0::/user.slice", ID));
    assert!(!belongs("", ID));
}

#[test]
fn hierarchies_are_found_by_the_mounts_when_not_at_the_usual_place() {
    let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
33 31 0:30 / /mnt/c/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /mnt/c/unified rw,relatime - cgroup2 cgroup2 rw
broken
";
    let found = Hierarchies::from_mounts(mounts);
    assert_eq!(found.by_controller["cpuacct"], Path::new("/mnt/c/cpu,cpuacct"));
    assert_eq!(found.unified.as_deref(), Some(Path::new("/mnt/c/unified")));
    assert_eq!(Hierarchies::from_mounts(""), Hierarchies::default());
}

#[test]
fn an_empty_folder_is_no_hierarchy() {
    let root = std::env::temp_dir().join(format!("fleetlight-cgroup-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(root.join("fs/cgroup/cpu/docker")).expect("folders");
    // Whichever comes first, the empty one is passed over.
    for empty in ["cpu,cpuacct", "acpu,cpu", "unified"] {
        std::fs::create_dir_all(root.join("fs/cgroup").join(empty)).expect("folders");
    }
    let found = Hierarchies::find(Path::new("/nowhere"), &root);
    std::fs::remove_dir_all(&root).expect("was made");
    assert_eq!(found.by_controller["cpu"], root.join("fs/cgroup/cpu"));
    assert_eq!((found.by_controller.len(), found.unified), (1, None));
}

#[test]
fn numbers_and_fields() {
    assert_eq!(number(b"887653574\n"), Some(887_653_574));
    assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
    for bad in [&b""[..], b"max\n", b"-1", b"18446744073709551616", b"1 2", b"\xff"] {
        assert_eq!(number(bad), None);
    }
    let stat = b"cache 1\ninactive_file 22\ntotal_inactive_file 333\ninactive_file_x 4\n";
    assert_eq!(field(stat, "inactive_file"), Some(22));
    assert_eq!(field(stat, "total_inactive_file"), Some(333));
    assert_eq!(field(stat, "inactive"), None);
    assert_eq!(field(b"inactive_file", "inactive_file"), None);
}

#[test]
fn io_of_both_versions() {
    let blkio_text =
        b"8:0 Read 4096\n8:0 Write 1000\n8:0 Sync 5\n8:0 Total 5096\n254:1 Read 4\n254:1 Write 0\nTotal 5100\n";
    assert_eq!(blkio(blkio_text), Some(Io { read: 4_100, written: 1_000 }));
    assert_eq!(blkio(b"Total 0\n"), None, "nothing counted is not nothing done");
    let stat = b"8:0 rbytes=4096 wbytes=1000 rios=1 wios=1 dbytes=7 dios=0\n254:1 rbytes=4 wbytes=0 rios=1 wios=0\n";
    assert_eq!(io_stat(stat), Io { read: 4_100, written: 1_000 });
    assert_eq!(io_stat(b""), Io::default());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(number(&text).is_none() || text.iter().any(u8::is_ascii_digit));
        prop_assert!(field(&text, "cache").is_none() || text.len() > 6);
        let _ = (blkio(&text), io_stat(&text));
        let text = String::from_utf8_lossy(&text);
        prop_assert!(!belongs(&text, ID));
        let _ = (path_of(&text, "cpu"), Hierarchies::from_mounts(&text));
    }

    #[test]
    fn what_is_printed_is_read(fields in proptest::collection::btree_map("[a-z_]{1,12}", any::<u64>(), 1..20)) {
        let text: String = fields.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
        for (key, value) in &fields {
            prop_assert_eq!(field(text.as_bytes(), key), Some(*value));
        }
    }
}
