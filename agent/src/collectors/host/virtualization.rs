//! What this host runs in: a container, a virtual machine, or nothing.
//!
//! Names are those of systemd-detect-virt(1). A container is told from its marker files and
//! cgroup, a machine from cpuid, DMI and `/sys/hypervisor`; nothing is executed.

use std::fs;
use std::path::Path;

/// `docker`, `kvm`, … or `none`; absent if there is a hypervisor and it does not say which.
pub fn detect(proc_root: &Path, sys_root: &Path) -> Option<String> {
    if let Some(container) = container(proc_root) {
        return Some(container);
    }
    let machine = machine_of_cpuid(proc_root)
        .or_else(|| machine_of_dmi(&dmi(sys_root)))
        .or_else(|| fs::read_to_string(sys_root.join("hypervisor/type")).ok().map(|kind| kind.trim().to_owned()));
    match machine {
        Some(machine) => Some(machine),
        None if has_hypervisor(proc_root) => None,
        None => Some("none".into()),
    }
}

/// The kind of container. With another root than `/proc` the marker files in sight are those of
/// the agent's own container and say nothing about the host.
fn container(proc_root: &Path) -> Option<String> {
    if proc_root == Path::new("/proc") {
        for (marker, kind) in [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")] {
            if Path::new(marker).exists() {
                return Some(kind.into());
            }
        }
        // Written by systemd inside nspawn, LXC and the like.
        if let Ok(kind) = fs::read_to_string("/run/systemd/container") {
            return Some(kind.trim().to_owned());
        }
    }
    let cgroup = fs::read_to_string(proc_root.join("1/cgroup")).unwrap_or_default();
    container_of_cgroup(&cgroup).map(str::to_owned)
}

/// PID 1 lies in a cgroup of its own only inside a container that shares the host's cgroup tree.
fn container_of_cgroup(cgroup: &str) -> Option<&'static str> {
    let kinds = [("/kubepods", "kubernetes"), ("/docker", "docker"), ("/libpod", "podman"), ("/lxc", "lxc")];
    kinds.into_iter().find(|(place, _)| cgroup.contains(place)).map(|(_, kind)| kind)
}

fn has_hypervisor(proc_root: &Path) -> bool {
    let cpuinfo = fs::read_to_string(proc_root.join("cpuinfo")).unwrap_or_default();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(target_arch = "x86_64")]
fn machine_of_cpuid(proc_root: &Path) -> Option<String> {
    // The leaf has a meaning only behind a hypervisor.
    has_hypervisor(proc_root).then_some(())?;
    let leaf = std::arch::x86_64::__cpuid(0x4000_0000);
    let signature: Vec<u8> = [leaf.ebx, leaf.ecx, leaf.edx].into_iter().flat_map(u32::to_le_bytes).collect();
    machine_of_signature(&signature).map(str::to_owned)
}

#[cfg(not(target_arch = "x86_64"))]
fn machine_of_cpuid(_proc_root: &Path) -> Option<String> {
    None
}

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "other architectures have no cpuid"))]
fn machine_of_signature(signature: &[u8]) -> Option<&'static str> {
    Some(match signature {
        b"KVMKVMKVM\0\0\0" | b"Linux KVM Hv" => "kvm",
        b"Microsoft Hv" => "microsoft",
        b"VMwareVMware" => "vmware",
        b"XenVMMXenVMM" => "xen",
        b"TCGTCGTCGTCG" => "qemu",
        b"bhyve bhyve " => "bhyve",
        b"ACRNACRNACRN" => "acrn",
        _ => return None,
    })
}

fn dmi(sys_root: &Path) -> String {
    let files = ["sys_vendor", "product_name", "board_vendor", "bios_vendor", "chassis_vendor"];
    let read = |file: &&str| fs::read_to_string(sys_root.join("class/dmi/id").join(file)).ok();
    files.iter().filter_map(read).collect()
}

/// The machine that vendor and product names give away.
fn machine_of_dmi(dmi: &str) -> Option<String> {
    let signs = [
        ("KVM", "kvm"),
        ("OpenStack", "kvm"),
        ("KubeVirt", "kvm"),
        ("Amazon EC2", "amazon"),
        ("Google Compute Engine", "google"),
        ("QEMU", "qemu"),
        ("VMware", "vmware"),
        ("VirtualBox", "oracle"),
        ("innotek GmbH", "oracle"),
        ("Xen", "xen"),
        ("Bochs", "bochs"),
        ("Parallels", "parallels"),
        ("BHYVE", "bhyve"),
        ("Virtual Machine", "microsoft"),
        ("Apple Virtualization", "apple"),
    ];
    signs.into_iter().find(|(sign, _)| dmi.contains(sign)).map(|(_, machine)| machine.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_by_their_names() {
        assert_eq!(machine_of_dmi("Hetzner\nvServer\nKVM\n").as_deref(), Some("kvm"));
        assert_eq!(machine_of_dmi("Microsoft Corporation\nVirtual Machine\n").as_deref(), Some("microsoft"));
        assert_eq!(machine_of_dmi("Supermicro\nSYS-421GE-TNRT\n"), None);
        assert_eq!(machine_of_signature(b"KVMKVMKVM\0\0\0"), Some("kvm"));
        assert_eq!(machine_of_signature(b"GenuineIntel"), None);
    }

    #[test]
    fn containers_by_the_cgroup_of_their_first_process() {
        assert_eq!(container_of_cgroup("12:cpu:/docker/3f2a\n0::/docker/3f2a\n"), Some("docker"));
        assert_eq!(container_of_cgroup("0::/kubepods.slice/pod1/docker-1\n"), Some("kubernetes"));
        assert_eq!(container_of_cgroup("0::/init.scope\n"), None);
        assert_eq!(container_of_cgroup("0::/\n"), None);
    }

    #[test]
    fn bare_metal_has_no_hypervisor() {
        assert_eq!(detect(Path::new("/nonexistent"), Path::new("/nonexistent")).as_deref(), Some("none"));
    }
}
