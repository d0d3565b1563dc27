package crm

import (
	"database/sql"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// pipelineInput is what a client sends to make or change a pipeline.
type pipelineInput struct {
	ID           scalar       `json:"pipelineId"`
	Label        *string      `json:"label"`
	DisplayOrder *integer     `json:"displayOrder"`
	Archived     *bool        `json:"archived"`
	Stages       []stageInput `json:"stages"`
}

// pipelineCall resolves the type of a pipeline call and checks the scope.
func (c *call) pipelineCall(write bool) (*objectType, error) {
	t, err := c.typ("objectType")
	if err != nil {
		return nil, err
	}
	return t, c.require(t.schemaScopes(write))
}

func listPipelines(c *call) (int, any, error) {
	t, err := c.pipelineCall(false)
	if err != nil {
		return 0, nil, err
	}
	list, err := pipelinesOf(c.ctx(), c.s.db.Read(), c.acct, t, false)
	return http.StatusOK, all(list), err
}

func readPipeline(c *call) (int, any, error) {
	t, err := c.pipelineCall(false)
	if err != nil {
		return 0, nil, err
	}
	archived, err := c.flag("archived")
	if err != nil {
		return 0, nil, err
	}
	p, err := c.pipeline(c.s.db.Read(), t, archived)
	return http.StatusOK, p, err
}

// pipeline reads the pipeline that the path names.
func (c *call) pipeline(q querier, t *objectType, archived bool) (*pipeline, error) {
	list, err := pipelinesOf(c.ctx(), q, c.acct, t, archived)
	if err != nil {
		return nil, err
	}
	if p := pipelineByID(list, c.params["pipelineId"]); p != nil {
		return p, nil
	}
	return nil, notFound("There is no pipeline %q of %s.", c.params["pipelineId"], t.Plural).with("pipelineId", c.params["pipelineId"])
}

func createPipeline(c *call) (int, any, error) {
	t, err := c.pipelineCall(true)
	if err != nil {
		return 0, nil, err
	}
	if t.Pipeline == "" {
		return 0, nil, invalid("%s have no pipelines.", t.Labels)
	}
	var in pipelineInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if in.Label == nil || strings.TrimSpace(*in.Label) == "" {
		return 0, nil, invalid("A pipeline needs a label.").with("propertyName", "label")
	}
	if len(in.Stages) == 0 {
		return 0, nil, invalid("A pipeline needs at least one stage.").with("propertyName", "stages")
	}
	p := &pipeline{ID: string(in.ID)}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		now := timestamp(micros(c.s.now()))
		p.CreatedAt, p.UpdatedAt, p.Stages = now, now, []*stage{}
		if p.ID == "" {
			p.ID = newUUID()
		}
		p.apply(in)
		list, err := pipelinesOf(c.ctx(), tx, c.acct, t, false)
		if err != nil {
			return err
		}
		if pipelineByID(list, p.ID) != nil {
			return newFault(http.StatusConflict, catExists, "A pipeline %q already exists.", p.ID).with("pipelineId", p.ID)
		}
		if err := freeLabel(list, p); err != nil {
			return err
		}
		return c.replaceStages(tx, t, p, in.Stages, now)
	})
	return http.StatusCreated, p, err
}

// apply takes over what the input says of the pipeline itself.
func (p *pipeline) apply(in pipelineInput) {
	if in.Label != nil && strings.TrimSpace(*in.Label) != "" {
		p.Label = strings.TrimSpace(*in.Label)
	}
	if in.DisplayOrder != nil && in.DisplayOrder.set {
		p.DisplayOrder = in.DisplayOrder.n
	}
}

func freeLabel(list []*pipeline, p *pipeline) error {
	for _, o := range list {
		if o.ID != p.ID && strings.EqualFold(o.Label, p.Label) {
			return invalid("A pipeline with the label %q already exists.", p.Label).with("label", p.Label)
		}
	}
	return nil
}

// replaceStages stores a pipeline and makes its stages those of the input. Stages
// that records stand in can't be dropped.
func (c *call) replaceStages(tx *sql.Tx, t *objectType, p *pipeline, in []stageInput, now timestamp) error {
	var list []*stage
	for i, si := range in {
		st := &stage{ID: string(si.ID), DisplayOrder: int64(i), CreatedAt: now, WritePermissions: crmEnforced}
		if old := p.stage(st.ID); old != nil {
			st.CreatedAt, st.Metadata = old.CreatedAt, old.Metadata
		}
		if st.ID == "" {
			st.ID = newUUID()
		}
		if err := st.apply(t, si, now); err != nil {
			return err
		}
		if slices.ContainsFunc(list, func(o *stage) bool { return o.ID == st.ID || strings.EqualFold(o.Label, st.Label) }) {
			return invalid("Two stages have the label %q or the same id.", st.Label)
		}
		list = append(list, st)
	}
	for _, old := range p.Stages {
		if slices.ContainsFunc(list, func(s *stage) bool { return s.ID == old.ID }) {
			continue
		}
		if err := c.dropStage(tx, t, p, old, now); err != nil {
			return err
		}
	}
	p.Stages = list
	if err := savePipeline(c.ctx(), tx, c.acct, t.ID, p); err != nil {
		return err
	}
	for _, st := range list {
		if err := saveStage(c.ctx(), tx, c.acct, t.ID, p.ID, st); err != nil {
			return err
		}
	}
	slices.SortStableFunc(p.Stages, func(a, b *stage) int { return int(a.DisplayOrder - b.DisplayOrder) })
	return nil
}

// changePipeline serves PATCH, and PUT, which also replaces the stages.
func changePipeline(c *call) (int, any, error) {
	t, err := c.pipelineCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in pipelineInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	replace := c.r.Method == http.MethodPut
	if replace && (in.Label == nil || len(in.Stages) == 0) {
		return 0, nil, invalid("Replacing a pipeline needs a label and at least one stage.")
	}
	restore := !replace && in.Archived != nil && !*in.Archived
	var p *pipeline
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		var err error
		if p, err = c.pipeline(tx, t, false); err != nil && restore {
			p, err = c.pipeline(tx, t, true)
		}
		if err != nil {
			return err
		}
		now := timestamp(micros(c.s.now()))
		p.apply(in)
		p.Archived, p.ArchivedAt, p.UpdatedAt = false, nil, now
		list, err := pipelinesOf(c.ctx(), tx, c.acct, t, false)
		if err == nil {
			err = freeLabel(list, p)
		}
		if err != nil {
			return err
		}
		if replace {
			return c.replaceStages(tx, t, p, in.Stages, now)
		}
		return savePipeline(c.ctx(), tx, c.acct, t.ID, p)
	})
	return http.StatusOK, p, err
}

func archivePipeline(c *call) (int, any, error) {
	t, err := c.pipelineCall(true)
	if err != nil {
		return 0, nil, err
	}
	check := false
	for _, name := range []string{"validateReferencesBeforeDelete", "validateDealStageUsagesBeforeDelete"} {
		v, err := c.flag(name)
		if err != nil {
			return 0, nil, err
		}
		check = check || v
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		p, err := c.pipeline(tx, t, false)
		if err != nil {
			return err
		}
		if check {
			n, err := countValue(c, tx, t, t.Pipeline, p.ID)
			if err != nil {
				return err
			}
			if n > 0 {
				return invalid("The pipeline %q is used by %d %s.", p.ID, n, t.Plural)
			}
		}
		at := timestamp(micros(c.s.now()))
		p.ArchivedAt, p.UpdatedAt = &at, at
		return savePipeline(c.ctx(), tx, c.acct, t.ID, p)
	})
	return http.StatusNoContent, nil, err
}

// countValue counts the live records that have a value.
func countValue(c *call, q querier, t *objectType, property, value string) (n int64, err error) {
	err = q.QueryRowContext(c.ctx(), `select count(*) from crm_values where acct = $1 and type_id = $2 and property = $3 and word = $4`,
		c.acct, t.ID, property, shorten(value)).Scan(&n)
	return n, err
}

// probability is how likely a deal in a stage is won, in tenths.
func probability(s string) (string, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return strconv.FormatFloat(f, 'f', 1, 64), err == nil && f >= 0 && f <= 1
}
