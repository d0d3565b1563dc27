package main

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const page = 4096

// disk is a file system in memory that knows what of it would be left after the
// power was cut: of a file what was synced, of a folder the names that it had
// when it was synced. Folders themselves are kept at once.
type disk struct {
	mu   sync.Mutex
	off  bool // the power is cut: every operation fails
	rnd  *rand.Rand
	keep float64 // the part of the unsynced pages that reaches the disk nevertheless, in any order
	root *folder

	syncs, forgotten int
}

func newDisk(seed uint64) *disk {
	d := &disk{rnd: rand.New(rand.NewPCG(seed, 1))}
	d.root = newFolder(d)
	return d
}

// cut cuts the power, and gives the disk as the next start finds it.
func (d *disk) cut(keep float64) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	next := &disk{rnd: d.rnd, keep: keep, syncs: d.syncs, forgotten: d.forgotten}
	next.root = d.root.left(next, keep)
	return next
}

// again is the disk at the next start of a machine whose power was not cut. A disk is mounted once.
func (d *disk) again() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	next := &disk{rnd: d.rnd, syncs: d.syncs, forgotten: d.forgotten}
	next.root = d.root.copy(next, map[*file]*file{})
	return next
}

// folder is a directory.
type folder struct {
	fs.Inode
	disk    *disk
	folders map[string]*folder
	files   map[string]*file // as they are
	kept    map[string]*file // as they were when the folder was synced
}

func newFolder(d *disk) *folder {
	return &folder{disk: d, folders: map[string]*folder{}, files: map[string]*file{}, kept: map[string]*file{}}
}

// left is what is left of a folder.
func (f *folder) left(d *disk, keep float64) *folder {
	out := newFolder(d)
	for name, sub := range f.folders {
		out.folders[name] = sub.left(d, keep)
	}
	for name, one := range f.kept {
		n := one.left(d, keep)
		out.files[name], out.kept[name] = n, n
	}
	d.forgotten += max(0, len(f.files)-len(f.kept))
	return out
}

// copy is the same folder on another disk; known are the files that were copied already.
func (f *folder) copy(d *disk, known map[*file]*file) *folder {
	out := newFolder(d)
	for name, sub := range f.folders {
		out.folders[name] = sub.copy(d, known)
	}
	for i, names := range []map[string]*file{f.files, f.kept} {
		for name, one := range names {
			if known[one] == nil {
				known[one] = &file{disk: d, data: slices.Clone(one.data), synced: slices.Clone(one.synced), dirty: maps.Clone(one.dirty), mode: one.mode}
			}
			[]map[string]*file{out.files, out.kept}[i][name] = known[one]
		}
	}
	return out
}

// file is a file: what programs read, and what was synced.
type file struct {
	fs.Inode
	disk   *disk
	data   []byte
	synced []byte
	dirty  map[int]bool // pages that were written and not synced
	mode   uint32
}

func (f *file) left(d *disk, keep float64) *file {
	data := slices.Clone(f.synced)
	for p := range f.dirty {
		if d.rnd.Float64() >= keep {
			d.forgotten++
			continue
		}
		from, to := p*page, min((p+1)*page, len(f.data))
		if from < to {
			data = grow(data, to)
			copy(data[from:to], f.data[from:to])
		}
	}
	return &file{disk: d, data: data, synced: slices.Clone(data), dirty: map[int]bool{}, mode: f.mode}
}

func grow(b []byte, n int) []byte {
	if n <= len(b) {
		return b
	}
	return append(b, make([]byte, n-len(b))...)
}

// do runs an operation, unless the power is cut.
func (d *disk) do(fn func() syscall.Errno) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return syscall.EIO
	}
	return fn()
}

func (f *file) write(b []byte, off int) {
	f.data = grow(f.data, off+len(b))
	copy(f.data[off:], b)
	for p := off / page; p*page < off+len(b); p++ {
		f.dirty[p] = true
	}
}

func (f *file) truncate(n int) {
	for p := min(n, len(f.data)) / page; p*page <= max(n, len(f.data)); p++ {
		f.dirty[p] = true
	}
	f.data = grow(f.data, n)[:n]
}

func (f *file) sync() {
	f.disk.syncs++
	f.synced = grow(f.synced, len(f.data))[:len(f.data)]
	for p := range f.dirty {
		if from := p * page; from < len(f.data) {
			copy(f.synced[from:], f.data[from:min(from+page, len(f.data))])
		}
	}
	clear(f.dirty)
}

func (f *folder) sync() { f.kept = maps.Clone(f.files) }

// What the kernel asks for.

func (f *folder) OnAdd(ctx context.Context) {
	for name, sub := range f.folders {
		f.AddChild(name, f.NewPersistentInode(ctx, sub, fs.StableAttr{Mode: syscall.S_IFDIR}), true)
	}
	for name, one := range f.files {
		f.AddChild(name, f.NewPersistentInode(ctx, one, fs.StableAttr{Mode: syscall.S_IFREG}), true)
	}
}

func (f *folder) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Nlink, out.Mode = 1, 0o700
	return 0
}

func (f *folder) Mkdir(ctx context.Context, name string, _ uint32, _ *fuse.EntryOut) (n *fs.Inode, e syscall.Errno) {
	e = f.disk.do(func() syscall.Errno {
		sub := newFolder(f.disk)
		f.folders[name] = sub
		n = f.NewPersistentInode(ctx, sub, fs.StableAttr{Mode: syscall.S_IFDIR})
		return 0
	})
	return n, e
}

func (f *folder) Create(ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut) (n *fs.Inode, h fs.FileHandle, flags uint32, e syscall.Errno) {
	e = f.disk.do(func() syscall.Errno {
		one := &file{disk: f.disk, dirty: map[int]bool{}, mode: mode & 0o777}
		f.files[name] = one
		out.Nlink, out.Mode = 1, one.mode
		n = f.NewPersistentInode(ctx, one, fs.StableAttr{Mode: syscall.S_IFREG})
		return 0
	})
	return n, nil, 0, e
}

func (f *folder) Link(_ context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (n *fs.Inode, e syscall.Errno) {
	e = f.disk.do(func() syscall.Errno {
		one, ok := target.(*file)
		if !ok {
			return syscall.EPERM
		}
		if f.files[name] != nil {
			return syscall.EEXIST
		}
		f.files[name], out.Nlink, out.Mode, out.Size = one, 1, one.mode, uint64(len(one.data))
		n = one.EmbeddedInode()
		return 0
	})
	return n, e
}

func (f *folder) Unlink(_ context.Context, name string) syscall.Errno {
	return f.disk.do(func() syscall.Errno {
		delete(f.files, name)
		return 0
	})
}

func (f *folder) Rmdir(_ context.Context, name string) syscall.Errno {
	return f.disk.do(func() syscall.Errno {
		delete(f.folders, name)
		return 0
	})
}

func (f *folder) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	return f.disk.do(func() syscall.Errno {
		target, ok := to.(*folder)
		if one := f.files[name]; ok && one != nil && flags == 0 {
			delete(f.files, name)
			target.files[newName] = one
			return 0
		}
		return syscall.ENOSYS
	})
}

func (f *folder) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return f.disk.do(func() syscall.Errno { f.sync(); return 0 })
}

func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, f.disk.do(func() syscall.Errno { return 0 })
}

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return f.disk.do(func() syscall.Errno {
		out.Nlink, out.Mode, out.Size, out.Blksize, out.Blocks = 1, f.mode, uint64(len(f.data)), page, uint64(len(f.data)+511)/512
		return 0
	})
}

func (f *file) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.disk.do(func() syscall.Errno {
		if n, ok := in.GetSize(); ok {
			f.truncate(int(n))
		}
		if m, ok := in.GetMode(); ok {
			f.mode = m & 0o777
		}
		out.Nlink, out.Mode, out.Size = 1, f.mode, uint64(len(f.data))
		return 0
	})
}

func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (res fuse.ReadResult, e syscall.Errno) {
	e = f.disk.do(func() syscall.Errno {
		from := min(int(off), len(f.data))
		res = fuse.ReadResultData(append([]byte(nil), f.data[from:min(from+len(dest), len(f.data))]...))
		return 0
	})
	return res, e
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, b []byte, off int64) (uint32, syscall.Errno) {
	return uint32(len(b)), f.disk.do(func() syscall.Errno { f.write(b, int(off)); return 0 })
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return f.disk.do(func() syscall.Errno { f.sync(); return 0 })
}

// mount shows the disk as a directory.
func (d *disk) mount(dir string) (unmount func() error, err error) {
	s, err := fs.Mount(dir, d.root, &fs.Options{MountOptions: fuse.MountOptions{Name: "forgetful", FsName: "forgetful", DirectMount: os.Geteuid() == 0}, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())})
	if err != nil {
		return nil, err
	}
	return func() error {
		err := s.Unmount()
		s.Wait()
		return err
	}, nil
}
