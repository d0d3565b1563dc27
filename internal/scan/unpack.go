package scan

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

const (
	maxDepth   = 4        // archives in archives
	maxMembers = 100_000  // files in an archive
	maxNested  = 64 << 20 // a zip in an archive, which has to be held in memory
	peek       = 512      // what the kind of a stream is told from
)

// unpacker reads what archives hold, within a bound.
type unpacker struct {
	finder *Finder
	left   int64 // bytes that may still be unpacked
	yield  func(inside string, p Place)
	skip   func(inside, why string)
	read   int64
}

var errEnough = errors.New("it unpacks to more than is read")

// bounded reads at most what is left of an unpacker.
type bounded struct {
	r io.Reader
	u *unpacker
}

func (b bounded) Read(p []byte) (int, error) {
	if b.u.left <= 0 {
		return 0, errEnough
	}
	if int64(len(p)) > b.u.left {
		p = p[:b.u.left]
	}
	n, err := b.r.Read(p)
	b.u.left -= int64(n)
	return n, err
}

// archive reports whether bytes begin an archive that is unpacked.
func archive(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}) || isTar(head)
}

func isTar(head []byte) bool { return len(head) >= 262 && string(head[257:262]) == "ustar" }

// stream finds the secrets of a member, and of what it holds.
func (u *unpacker) stream(r io.Reader, inside string, depth int) error {
	in := bufio.NewReaderSize(r, peek)
	head, err := in.Peek(peek)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !archive(head) {
		n, err := u.finder.Stream(in, func(p Place) { u.yield(inside, p) })
		u.read += n
		return err
	}
	if depth >= maxDepth {
		u.skip(inside, fmt.Sprintf("archives are opened %d deep", maxDepth))
		return nil
	}
	switch {
	case head[0] == 0x1f:
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		return u.stream(bounded{z, u}, inside, depth+1)
	case isTar(head):
		return u.tar(in, inside, depth)
	}
	b, err := io.ReadAll(io.LimitReader(in, maxNested+1))
	if err != nil {
		return err
	}
	if len(b) > maxNested {
		u.skip(inside, "a zip inside an archive is opened up to 64 MiB")
		return nil
	}
	return u.zip(bytes.NewReader(b), int64(len(b)), inside, depth)
}

func (u *unpacker) tar(r io.Reader, inside string, depth int) error {
	t := tar.NewReader(r)
	for range maxMembers {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := u.stream(bounded{t, u}, within(inside, h.Name), depth+1); err != nil {
			return err
		}
	}
	u.skip(inside, "it holds more than 100,000 files")
	return nil
}

func (u *unpacker) zip(r io.ReaderAt, size int64, inside string, depth int) error {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return err
	}
	for i, m := range z.File {
		if i == maxMembers {
			u.skip(inside, "it holds more than 100,000 files")
			break
		}
		if !m.Mode().IsRegular() {
			continue
		}
		if err := u.member(m, within(inside, m.Name), depth); err != nil {
			if errors.Is(err, errEnough) {
				return err
			}
			u.skip(within(inside, m.Name), err.Error()) // encrypted, or packed in another way; the others are read
		}
	}
	return nil
}

func (u *unpacker) member(m *zip.File, inside string, depth int) error {
	f, err := m.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	return u.stream(bounded{f, u}, inside, depth+1)
}

func within(inside, name string) string {
	if inside == "" || name == "" {
		return inside + name
	}
	return inside + "!" + name
}
