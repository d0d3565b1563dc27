package main

import (
	"bytes"
	"syscall"
	"testing"
)

// The disk forgets what wasn't synced, and that alone.
func TestDiskForgets(t *testing.T) {
	d := newDisk(1)
	make := func(name string) *file {
		f := &file{disk: d, dirty: map[int]bool{}}
		d.root.files[name] = f
		return f
	}
	synced, half := make("synced"), make("half")
	big := bytes.Repeat([]byte("a"), 3*page)
	synced.write(big, 0)
	half.write(big, 0)
	synced.sync()
	half.sync()
	half.write([]byte("new"), page)
	half.write([]byte("tail"), 3*page)
	d.root.sync()
	lost := make("unnamed") // made after the folder was synced
	lost.write(big, 0)
	lost.sync()
	next := d.cut(0)
	if f := next.root.files["synced"]; f == nil || !bytes.Equal(f.data, big) {
		t.Error("what was synced is gone")
	}
	if f := next.root.files["half"]; f == nil || !bytes.Equal(f.data, big) {
		t.Error("what was written after the sync is there")
	}
	if next.root.files["unnamed"] != nil {
		t.Error("a name that was not synced is there")
	}
	if next.forgotten == 0 {
		t.Error("nothing was forgotten")
	}
	if f := d.cut(1).root.files["half"]; !bytes.HasPrefix(f.data[page:], []byte("new")) || len(f.data) != 3*page+4 {
		t.Error("with all pages kept something is gone")
	}
	half.truncate(page)
	half.sync()
	if f := d.cut(0).root.files["half"]; len(f.data) != page {
		t.Errorf("after a truncation %d bytes are left, want %d", len(f.data), page)
	}
	if e := d.do(func() syscall.Errno { return 0 }); e == 0 {
		t.Error("a disk without power works")
	}
}
