package crm

import (
	"database/sql"
	"net/http"
	"strings"
)

// stageInput is what a client sends to make or change a stage.
type stageInput struct {
	ID           scalar            `json:"stageId"`
	Label        *string           `json:"label"`
	DisplayOrder *integer          `json:"displayOrder"`
	Archived     *bool             `json:"archived"`
	Metadata     map[string]scalar `json:"metadata"`
}

// apply takes over what the input says and completes what follows from it.
func (s *stage) apply(t *objectType, in stageInput, now timestamp) error {
	if in.Label != nil && strings.TrimSpace(*in.Label) != "" {
		s.Label = strings.TrimSpace(*in.Label)
	}
	if s.Label == "" {
		return invalid("A stage needs a label.").with("propertyName", "label")
	}
	if in.DisplayOrder != nil && in.DisplayOrder.set {
		s.DisplayOrder = in.DisplayOrder.n
	}
	meta := map[string]string{}
	for k, v := range s.Metadata {
		meta[k] = v
	}
	for k, v := range in.Metadata {
		meta[k] = string(v)
	}
	switch t.Plural {
	case "deals":
		p, ok := probability(meta["probability"])
		if !ok {
			return invalid("The stage %q needs metadata.probability between 0.0 and 1.0.", s.Label).with("propertyName", "probability")
		}
		meta["probability"] = p
		meta["isClosed"] = closedText(p == "0.0" || p == "1.0")
	case "tickets":
		state := strings.ToUpper(meta["ticketState"])
		if state == "" {
			state = "OPEN"
		}
		if state != "OPEN" && state != "CLOSED" {
			return invalid("metadata.ticketState of the stage %q must be OPEN or CLOSED.", s.Label).with("propertyName", "ticketState")
		}
		meta["ticketState"], meta["isClosed"] = state, closedText(state == "CLOSED")
	}
	s.Metadata, s.UpdatedAt = meta, now
	return nil
}

func listStages(c *call) (int, any, error) {
	t, err := c.pipelineCall(false)
	if err != nil {
		return 0, nil, err
	}
	p, err := c.pipeline(c.s.db.Read(), t, false)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, all(p.Stages), nil
}

func (c *call) stage(q querier, t *objectType) (*pipeline, *stage, error) {
	p, err := c.pipeline(q, t, false)
	if err != nil {
		return nil, nil, err
	}
	if st := p.stage(c.params["stageId"]); st != nil {
		return p, st, nil
	}
	return nil, nil, notFound("There is no stage %q in the pipeline %q.", c.params["stageId"], p.ID).with("stageId", c.params["stageId"])
}

func readStage(c *call) (int, any, error) {
	t, err := c.pipelineCall(false)
	if err != nil {
		return 0, nil, err
	}
	_, st, err := c.stage(c.s.db.Read(), t)
	return http.StatusOK, st, err
}

func createStage(c *call) (int, any, error) {
	t, err := c.pipelineCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in stageInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var st *stage
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		p, err := c.pipeline(tx, t, false)
		if err != nil {
			return err
		}
		now := timestamp(micros(c.s.now()))
		st = &stage{ID: string(in.ID), DisplayOrder: int64(len(p.Stages)), CreatedAt: now, WritePermissions: crmEnforced}
		if st.ID == "" {
			st.ID = newUUID()
		}
		if p.stage(st.ID) != nil {
			return newFault(http.StatusConflict, catExists, "A stage %q already exists.", st.ID).with("stageId", st.ID)
		}
		if err := st.apply(t, in, now); err != nil {
			return err
		}
		if err := freeStageLabel(p, st); err != nil {
			return err
		}
		return saveStage(c.ctx(), tx, c.acct, t.ID, p.ID, st)
	})
	return http.StatusCreated, st, err
}

func freeStageLabel(p *pipeline, st *stage) error {
	for _, o := range p.Stages {
		if o.ID != st.ID && strings.EqualFold(o.Label, st.Label) {
			return invalid("A stage with the label %q already exists in the pipeline.", st.Label).with("label", st.Label)
		}
	}
	return nil
}

// changeStage serves PATCH, and PUT, which forgets the metadata that it doesn't name.
func changeStage(c *call) (int, any, error) {
	t, err := c.pipelineCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in stageInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var st *stage
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		var p *pipeline
		var err error
		if p, st, err = c.stage(tx, t); err != nil {
			return err
		}
		if c.r.Method == http.MethodPut {
			st.Metadata = nil
		}
		if err := st.apply(t, in, timestamp(micros(c.s.now()))); err != nil {
			return err
		}
		if err := freeStageLabel(p, st); err != nil {
			return err
		}
		return saveStage(c.ctx(), tx, c.acct, t.ID, p.ID, st)
	})
	return http.StatusOK, st, err
}

func archiveStage(c *call) (int, any, error) {
	t, err := c.pipelineCall(true)
	if err != nil {
		return 0, nil, err
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		p, st, err := c.stage(tx, t)
		if err != nil {
			return err
		}
		if len(p.Stages) == 1 {
			return invalid("A pipeline needs at least one stage.")
		}
		return c.dropStage(tx, t, p, st, timestamp(micros(c.s.now())))
	})
	return http.StatusNoContent, nil, err
}

// dropStage archives a stage in which no record stands.
func (c *call) dropStage(tx *sql.Tx, t *objectType, p *pipeline, st *stage, now timestamp) error {
	var n int64
	err := tx.QueryRowContext(c.ctx(), `
		select count(*) from crm_values where acct = $1 and type_id = $2 and property = $3 and word = $4
		and record_id in (select record_id from crm_values where acct = $1 and type_id = $2 and property = $5 and word = $6)`,
		c.acct, t.ID, t.Stage, shorten(st.ID), t.Pipeline, shorten(p.ID)).Scan(&n)
	if err != nil {
		return err
	}
	if n > 0 {
		return invalid("The stage %q is used by %d %s.", st.ID, n, t.Plural).with("stageId", st.ID)
	}
	gone := *st
	gone.ArchivedAt, gone.UpdatedAt = &now, now
	return saveStage(c.ctx(), tx, c.acct, t.ID, p.ID, &gone)
}
