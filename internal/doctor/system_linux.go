package doctor

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// space is what a file system has.
func space(path string) (free, all int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}

// fileSystems are those that matter, by their numbers.
var fileSystems = map[int64]string{0x6969: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x517b: "smb", 0x01021994: "tmpfs", 0x65735546: "fuse",
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlay", 0x2fc12fc1: "zfs", 0x00c36400: "ceph", 0x01021997: "9p"}

// fileSystem names the kind of file system that a directory is on, and whether it is another machine's.
func fileSystem(path string) (kind string, remote bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return "unknown", false
	}
	kind = fileSystems[int64(s.Type)&0xffffffff]
	switch kind {
	case "":
		return "unknown", false
	case "nfs", "cifs", "smb2", "smb", "ceph", "9p":
		return kind, true
	}
	return kind, false
}

// sameDisk reports whether two paths lie on one file system.
func sameDisk(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}

// clockSynced asks the kernel whether an NTP client keeps the clock.
func clockSynced() (synced, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, true
}

// memory looks at what could write the server's memory to a disk.
func (d *doctor) memory() {
	const check = "memory"
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	swaps, _ := os.ReadFile("/proc/swaps")
	if strings.Count(strings.TrimSpace(string(swaps)), "\n") > 0 {
		d.say(check, Warning, "Turn swap off (swapoff -a), or encrypt it.", "This machine swaps: what the server holds in memory can come to the disk.")
		return
	}
	if err != nil {
		d.say(check, OK, "", "The server forbids dumps of its memory itself.")
		return
	}
	d.say(check, OK, "", "No swap; the server forbids dumps of its memory itself (the system's would go to %s).", strings.TrimSpace(string(pattern)))
}
