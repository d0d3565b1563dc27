package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// Recipients says for whom a backup is encrypted: people with keys, or a
// passphrase, or nobody at all.
type Recipients struct {
	Keys       []age.Recipient
	Passphrase string
	Plain      bool // not encrypted; never by mistake
}

// ParseRecipients reads age recipients, a line each, as in a recipients file.
func ParseRecipients(text string) ([]age.Recipient, error) {
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the recipients can't be read: %w", err)
	}
	return list, nil
}

// Check refuses what doesn't say in one way for whom a backup is.
func (r *Recipients) Check() error {
	ways := 0
	for _, named := range []bool{r.Plain, len(r.Keys) > 0, r.Passphrase != ""} {
		if named {
			ways++
		}
	}
	switch ways {
	case 0:
		return errors.New("a backup is encrypted: name recipients or a passphrase")
	case 1:
		return nil
	}
	return errors.New("name recipients, or a passphrase, or say that the backup shall not be encrypted: one of these")
}

// Encrypt gives what encrypts into w. It must be closed.
func (r *Recipients) Encrypt(w io.Writer) (io.WriteCloser, error) {
	if err := r.Check(); err != nil || r.Plain {
		return plain{w}, err
	}
	keys := r.Keys
	if r.Passphrase != "" {
		one, err := age.NewScryptRecipient(r.Passphrase)
		if err != nil {
			return nil, err
		}
		keys = []age.Recipient{one}
	}
	out, err := age.Encrypt(w, keys...)
	if err != nil {
		return nil, fmt.Errorf("backup: encrypt: %w", err)
	}
	return out, nil
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// Identities open a backup.
type Identities struct {
	Keys       []age.Identity
	Passphrase string
}

// ParseIdentities reads age identities, as in a key file.
func ParseIdentities(text string) ([]age.Identity, error) {
	list, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		return nil, errors.New("the identity file can't be read: want lines that begin with AGE-SECRET-KEY-")
	}
	return list, nil
}

const ageMagic = "age-encryption.org/"

// Open gives the stream of a backup, whether or not it is encrypted.
func (i *Identities) Open(in io.Reader) (*Reader, bool, error) {
	b := bufio.NewReaderSize(in, 64<<10)
	head, _ := b.Peek(len(ageMagic))
	if !bytes.Equal(head, []byte(ageMagic)) {
		r, err := NewReader(b)
		return r, false, err
	}
	keys := i.Keys
	if i.Passphrase != "" {
		one, err := age.NewScryptIdentity(i.Passphrase)
		if err != nil {
			return nil, true, err
		}
		keys = append(keys[:len(keys):len(keys)], one)
	}
	if len(keys) == 0 {
		return nil, true, errors.New("the backup is encrypted: name the identity file or the passphrase that opens it")
	}
	out, err := age.Decrypt(b, keys...)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return nil, true, errors.New("none of the identities given, nor the passphrase, opens this backup")
	}
	if err != nil {
		return nil, true, damaged("%v", err)
	}
	r, err := NewReader(out)
	return r, true, err
}

// WriteFile makes a file that isn't there yet: whole and synced to the disk, or not at all.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("nothing is overwritten: %s is there already", path)
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".postern-backup-*")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer os.Remove(tmp.Name())
	out := bufio.NewWriterSize(tmp, 1<<20)
	if err := write(out); err != nil {
		tmp.Close()
		return err
	}
	if err := errors.Join(out.Flush(), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("backup: write %s: %w", path, err)
	}
	// A link, unlike a renaming, never replaces what someone made meanwhile.
	if err := os.Link(tmp.Name(), path); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("nothing is overwritten: %s is there already", path)
	} else if err != nil {
		if err := os.Rename(tmp.Name(), path); err != nil { // a file system without links
			return fmt.Errorf("backup: %w", err)
		}
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
