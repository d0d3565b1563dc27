package cli

import (
	"fmt"
	"strings"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

// fewFindings is how many of each sort are shown unless all are asked for.
const fewFindings = 10

// tellLoaded says what loading a catalog did, or would do.
func (c *call) tellLoaded(l api.CatalogLoaded) {
	r := l.Report
	c.Printf("%s (%d public), %s.\n", screen.Count(r.Operations, "operation"), r.Public, screen.Count(r.Scopes, "scope"))
	c.findings("Templates that can't be told apart", screen.Bad, r.Conflicts)
	c.findings("Not understood, and so closed", screen.Bad, r.Problems)
	c.findings("Operations that name no scope, and so are denied", screen.Caution, r.Uncovered)
	c.findings("Operations that no credential can use", screen.Caution, r.Unsatisfiable)
	c.findings("Scopes that are used and declared nowhere", screen.Caution, r.Undeclared)
	c.findings("Scopes that open nothing", screen.Plain, r.Unused)
	c.findings("Worth a look", screen.Plain, r.Warnings)
	c.tellDiff(l.Diff)
	c.tellTouched(l.Keys)
	switch {
	case l.DryRun:
		c.Printf("A dry run: nothing was changed.\n")
	case l.Version == 0:
		c.Printf("This is in force already: nothing was changed.\n")
	default:
		c.Printf("%s\n", c.Paint(screen.Good, fmt.Sprintf("Loaded as version %d.", l.Version)))
	}
}

func (c *call) findings(title string, tone screen.Tone, list []api.Finding) {
	if len(list) == 0 {
		return
	}
	c.Printf("%s\n", c.Paint(tone, fmt.Sprintf("%s (%d):", title, len(list))))
	for i, f := range list {
		if c.more(i, len(list)) {
			return
		}
		place := f.File
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if place != "" {
			place += ": "
		}
		c.Printf("  %s\n", screen.Cut(screen.Clean(place+f.Text), c.Width-2))
	}
}

// more says how many are left out, where that is due, and reports whether it was.
func (c *call) more(i, n int) bool {
	if i < fewFindings || c.on("all") || i == n-1 {
		return false
	}
	c.Printf("  … and %d more; see them with --all\n", n-i)
	return true
}

func (c *call) tellDiff(d api.CatalogDiff) {
	if len(d.Operations) > 0 {
		t := &screen.Table{Columns: []screen.Column{{Title: "CHANGE"}, {Title: "METHOD"}, {Title: "PATH", Min: 20, Middle: true}, {Title: "OPENED BY", Min: 14}}}
		for i, o := range d.Operations {
			if i >= fewFindings && !c.on("all") {
				break
			}
			by := screen.Cell{Text: strings.Join(o.Opens, ", ")}
			switch {
			case o.BecomesPublic:
				by = screen.Cell{Text: "needs no credential", Tone: screen.Caution}
			case len(o.Opens) == 0 && len(o.Closes) > 0:
				by = screen.Cell{Text: "no longer " + strings.Join(o.Closes, ", ")}
			}
			t.Row(changeCell(o.Change), o.Method, o.Path, by)
		}
		c.Table(t)
		if left := len(d.Operations) - t.Len(); left > 0 {
			c.Printf("… and %d more; see them with --all\n", left)
		}
	}
	counts := map[string]int{}
	for _, s := range d.Scopes {
		counts[s.Change]++
	}
	if len(d.Scopes) > 0 {
		c.Printf("Scopes: %d new, %d gone, %d changed.\n", counts[api.ChangeNew], counts[api.ChangeGone], counts[api.ChangeChanged])
	}
}

func changeCell(change string) screen.Cell {
	switch change {
	case api.ChangeNew:
		return screen.Cell{Text: "+ new", Tone: screen.Good}
	case api.ChangeGone:
		return screen.Cell{Text: "- gone", Tone: screen.Bad}
	}
	return screen.Cell{Text: "~ " + change, Tone: screen.Caution}
}

func (c *call) tellTouched(keys []api.KeyTouched) {
	if len(keys) == 0 {
		return
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "KEY", Min: 16}, {Title: "ID"}, {Title: "GAINS", Right: true}, {Title: "LOSES", Right: true}}}
	for i, k := range keys {
		if i >= fewFindings && !c.on("all") {
			break
		}
		t.Row(k.Name, k.ID, fmt.Sprint(len(k.Gains)), fmt.Sprint(len(k.Loses)))
	}
	c.Table(t)
	if left := len(keys) - t.Len(); left > 0 {
		c.Printf("… and %d more keys; see them with --all\n", left)
	}
}
