package cli

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern.dev/postern/client"
	"postern.dev/postern/internal/callfile"
	"postern.dev/postern/internal/cli/screen"
)

// exportTries is how often an export goes on by itself after the connection broke.
const exportTries = 5

func (a *app) activityExport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export", Short: "Write calls to a file, the oldest first", Args: exactly(),
		Long: `Writes all calls that pass the filters and were recorded before, in the order of
their recording. The formats: jsonl (one object a line), csv, parquet, and otlp
(lines, each of which can be posted to an OpenTelemetry collector's /v1/logs).

With --out it writes to a new file that only you can read. Where the export ends
early, FILE.part has what came, and --resume goes on from there with the same
filters. Without --out it writes to the standard output.`,
		Example: examples("postern activity export --since 30d --out calls.jsonl", "postern activity export --key nightly-deals-sync --format parquet --out calls.parquet",
			"postern activity export --out calls.jsonl --resume"),
		RunE: a.remote(exportActivity),
	}
	a.activityFilters(cmd)
	f := cmd.Flags()
	f.String("format", "jsonl", strings.Join(callfile.Formats, ", "))
	f.String("out", "", "write to this new file")
	f.Bool("resume", false, "go on with an export to --out that ended early")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "output" {
			name = "out"
		}
		return pflag.NormalizedName(name)
	})
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(callfile.Formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func exportActivity(c *call) error {
	format, out := c.str("format"), c.str("out")
	if !slices.Contains(callfile.Formats, format) {
		return usagef("There is no format %q. Choose one of %s.", short(format), strings.Join(callfile.Formats, ", "))
	}
	q, err := c.activityQuery()
	if err != nil {
		return err
	}
	if out == "" {
		if c.on("resume") {
			return usagef("--resume goes with --out: name the file.")
		}
		return c.exportToScreen(q, format)
	}
	p, err := c.exportFile(out, format, &q)
	if err != nil {
		return err
	}
	if err := c.exportTo(p, q); err != nil {
		c.Notef("%s calls are in %s.part. Go on with: postern activity export --out %s --resume", screen.Number(p.Calls), out, out)
		return errors.Join(err, p.Close())
	}
	if err := p.Finish(c.app.Version); err != nil {
		return err
	}
	c.Notef("%s calls are in %s.", screen.Number(p.Calls), out)
	return nil
}

// exportFile begins a file, or goes on with one and what was asked for then.
func (c *call) exportFile(out, format string, q *client.ActivityQuery) (*callfile.Part, error) {
	if !c.on("resume") {
		filter, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		p, err := callfile.Begin(out, callfile.Asked{Format: format, Filter: filter})
		switch {
		case errors.Is(err, callfile.ErrThere):
			return nil, usagef("%s is there already. Choose another file.", out)
		case errors.Is(err, callfile.ErrBegun):
			return nil, usagef("An export to %s was begun and not ended. Go on with --resume, or remove %s.resume and %s.part.", out, out, out)
		}
		return p, err
	}
	var given string
	c.cmd.Flags().Visit(func(f *pflag.Flag) {
		if c.cmd.LocalNonPersistentFlags().Lookup(f.Name) != nil && f.Name != "out" && f.Name != "resume" {
			given = f.Name
		}
	})
	if given != "" {
		return nil, usagef("--resume goes on with what was asked for at first: leave --%s out.", given)
	}
	p, err := callfile.Resume(out)
	if errors.Is(err, callfile.ErrNothing) {
		return nil, usagef("There is no export to %s that could go on.", out)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(p.Asked.Filter, q); err != nil {
		return nil, errors.Join(usagef("%s.resume can't be read.", out), p.Close())
	}
	return p, nil
}

// exportTo writes calls to a file. Where the connection breaks it goes on by
// itself, as long as each try brings something.
func (c *call) exportTo(p *callfile.Part, q client.ActivityQuery) error {
	spin := c.Spin("Reading calls…")
	defer spin.Stop()
	for try := 1; ; try++ {
		before := p.Last
		var failed error
		for call, err := range c.ExportCalls(c.cmd.Context(), q, p.Last) {
			if err != nil {
				failed = err
				break
			}
			if err := p.Write(&call); err != nil {
				return err
			}
			if p.Calls%1000 == 0 {
				spin.Say("Reading calls… " + screen.Number(p.Calls) + ", up to " + c.In(call.At).Format("2006-01-02 15:04"))
			}
		}
		if failed == nil {
			return nil
		}
		if _, told := errors.AsType[*client.Error](failed); told || c.cmd.Context().Err() != nil || try >= exportTries {
			return failed
		}
		if p.Last > before {
			try = 0
		}
		select {
		case <-c.cmd.Context().Done():
			return failed
		case <-time.After(time.Second):
		}
	}
}

// exportToScreen writes calls to the standard output.
func (c *call) exportToScreen(q client.ActivityQuery, format string) error {
	w, err := callfile.New(format, c.app.Version, c.Out)
	if err != nil {
		return err
	}
	for call, err := range c.ExportCalls(c.cmd.Context(), q, 0) {
		if err != nil {
			return err
		}
		if err := w.Write(&call); err != nil {
			return err
		}
	}
	return w.Close()
}
