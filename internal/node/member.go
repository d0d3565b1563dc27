package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// lastNode is the file of the data directory that names the process which decided here last.
const lastNode = "node"

// join makes this process one of those that share the database: it gives it a
// name of its own, ends the lease of the one that was here before, and looks
// whether the others are of a version that it can work with.
func (n *Node) join(ctx context.Context) error {
	if err := n.forgetCrashed(ctx); err != nil {
		return err
	}
	leases, now, err := n.DB.Leases(ctx)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if l.Until.After(now) {
			if err := canWorkWith(&l); err != nil {
				return err
			}
		}
	}
	n.id = n.Config.Name + "." + strings.ToLower(postern.RandomText(8))
	if n.Config.Name == "" {
		n.id = "node" + n.id
	}
	// Before the first lease, so that whoever starts here next knows whose lease is over.
	return store.ReplaceFile(filepath.Join(n.Config.Data, lastNode), []byte(n.id+"\n"+placeOf(n.Config.Data)+"\n"))
}

// canWorkWith refuses a cluster whose nodes are more than one version apart.
func canWorkWith(l *store.Lease) error {
	name := l.Name
	if name == "" {
		name = l.Node
	}
	switch {
	case l.Protocol > store.Protocol+1:
		return fmt.Errorf("the node %s runs %s, which is more than one step newer (protocol %d, here %d): start a newer binary", name, l.Version, l.Protocol, store.Protocol)
	case l.Protocol < store.Protocol-1:
		return fmt.Errorf("the node %s runs %s, which is more than one step older (protocol %d, here %d): upgrade it to the version between first, or stop it", name, l.Version, l.Protocol, store.Protocol)
	}
	return nil
}

// forgetCrashed drops the leases of processes that crashed here. This one holds
// the lock of the directory, and so none of them decides any more; without this,
// every revocation would wait for them until their leases run out.
func (n *Node) forgetCrashed(ctx context.Context) error {
	if n.DB.Engine == store.Postgres {
		text, err := os.ReadFile(filepath.Join(n.Config.Data, lastNode))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read who decided here last: %w", err)
		}
		// A copy of the directory, as in the image of a machine, names a node that may
		// live where it was copied from: its lease is left to run out.
		last, place, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		if here := placeOf(n.Config.Data); place == "" || place != here {
			return nil
		}
		return n.DB.DropLease(ctx, last)
	}
	leases, _, err := n.DB.Leases(ctx)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if err := n.DB.DropLease(ctx, l.Node); err != nil {
			return err
		}
	}
	return nil
}

// placeOf names a directory of a machine that wasn't started again since; no copy of
// it has the same name. It is empty where that can't be told.
func placeOf(dir string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	inode := inodeOf(dir)
	if err != nil || inode == "" {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + inode
}

// info is what this node says of itself with its lease.
func (n *Node) info() store.NodeInfo {
	i := store.NodeInfo{Node: n.id, Name: n.Config.Name, Version: n.Config.Version, Protocol: store.Protocol, Address: n.Config.PublicURL}
	if n.Verifier != nil {
		i.Offset = n.Verifier.Offset()
	}
	i.Limits, i.LimitsAt = n.howLimits()
	return i
}
