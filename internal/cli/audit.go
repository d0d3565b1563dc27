package cli

import (
	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) audit() *cobra.Command {
	cmd := group("audit", "Read who changed what, and check that nothing is missing", `The audit log holds every change, and every change that was refused: when, who,
what, to what. It is append-only. Without a command it lists the latest.`)
	list := a.auditList()
	cmd.Flags().AddFlagSet(list.LocalFlags())
	bare(cmd, list.RunE)
	cmd.AddCommand(list, a.auditExport(), a.auditCheckpoint(), a.auditKey(), a.auditProof())
	return cmd
}

func auditFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("action", "", "only this: service_key.create, …")
	f.String("object", "", "only what was done to this (an id)")
	f.String("actor", "", "only what this member or key did (an id)")
	f.Bool("refused", false, "only what was refused")
	f.String("since", "", "only since: a span (24h), a day or a time")
	f.String("until", "", "only before: a span ago, a day or a time")
}

func (c *call) auditQuery() (q client.AuditQuery, err error) {
	q = client.AuditQuery{Action: c.str("action"), Object: c.str("object"), Actor: c.str("actor")}
	if c.on("refused") {
		q.Result = "refused"
	}
	if q.Since, err = c.since("since", c.str("since")); err != nil {
		return q, err
	}
	q.Until, err = c.since("until", c.str("until"))
	return q, err
}

func (a *app) auditList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List changes, the newest first", Args: exactly(),
		Example: examples("postern audit list", "postern audit list --refused --since 7d", "postern audit list --object 4fQ2mZ8xT0aB6cD1"),
		RunE:    a.remote(listAudit),
	}
	auditFlags(cmd)
	cmd.Flags().Int("limit", 50, "at most so many; 0: all")
	return cmd
}

func listAudit(c *call) error {
	q, err := c.auditQuery()
	if err != nil {
		return err
	}
	limit := c.number("limit")
	q.Paging = client.Paging{Limit: pageLimit(limit)}
	entries, _, err := collect(c, "the audit log", limit, c.EachAuditEntry(c.ctx, q))
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(screen.List(entries))
	}
	if len(entries) == 0 {
		c.Notef("No entries.")
		return nil
	}
	c.Table(auditTable(c.Screen, entries, c.memberNames()))
	return nil
}

// memberNames are what members are called, by id; none where that may not be seen.
func (c *call) memberNames() map[string]string {
	names := map[string]string{}
	members, err := c.Members(c.ctx)
	if err != nil {
		return names
	}
	for _, m := range members {
		names[m.ID] = m.Email
	}
	return names
}

// orID is a member's name, or the id where the name isn't known.
func orID(names map[string]string, id string) string {
	if name := names[id]; name != "" {
		return name
	}
	return id
}

func auditTable(s *screen.Screen, entries []api.AuditEntry, names map[string]string) *screen.Table {
	t := &screen.Table{Columns: []screen.Column{{Title: "WHEN"}, {Title: "WHO", Min: 10}, {Title: "WHAT"}, {Title: "TO WHAT", Min: 12}, {Title: "RESULT"}, {Title: "WHY", Min: 10, Drop: 1}}}
	for _, e := range entries {
		result := screen.Cell{Text: e.Result, Tone: screen.Good}
		if e.Result != "ok" {
			result.Tone = screen.Caution
		}
		object := e.Name
		if object == "" {
			object = e.Object
		}
		t.Row(s.In(e.At).Format("01-02 15:04:05"), actorName(e.Actor, names), e.Action, object, result, e.Reason)
	}
	return t
}

func actorName(a api.AuditActor, names map[string]string) string {
	switch {
	case names[a.MemberID] != "":
		return names[a.MemberID]
	case a.MemberID != "":
		return a.MemberID
	case a.KeyID != "":
		return a.KeyID
	case a.System != "":
		return "(" + a.System + ")"
	}
	return "nobody"
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return screen.Number(int64(n)) + " entries"
}
