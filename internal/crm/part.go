package crm

import "postern.dev/postern/internal/store"

// Part is the CRM as a part of a whole database.
func Part() store.Part {
	return store.Part{Name: "crm", File: "crm.db", Migrations: sub(migrations), Table: "crm_migrations"}
}
