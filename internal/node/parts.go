package node

import (
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/crm"
	"postern.dev/postern/internal/store"
)

// Parts are all that a server keeps, the records first.
func Parts() []store.Part {
	return []store.Part{store.Records(), activity.Part(), crm.Part()}
}

// LockDir takes a data directory for this process alone, as a running server does.
func LockDir(dir string) (release func(), err error) { return lockDir(dir) }
