package crm

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
)

// pipeline is a row of stages that records move through.
type pipeline struct {
	ID           string     `json:"id"`
	Label        string     `json:"label"`
	DisplayOrder int64      `json:"displayOrder"`
	Archived     bool       `json:"archived"`
	ArchivedAt   *timestamp `json:"archivedAt,omitempty"`
	CreatedAt    timestamp  `json:"createdAt"`
	UpdatedAt    timestamp  `json:"updatedAt"`
	Stages       []*stage   `json:"stages"`
}

type stage struct {
	ID               string            `json:"id"`
	Label            string            `json:"label"`
	DisplayOrder     int64             `json:"displayOrder"`
	Archived         bool              `json:"archived"`
	ArchivedAt       *timestamp        `json:"archivedAt,omitempty"`
	Metadata         map[string]string `json:"metadata"`
	CreatedAt        timestamp         `json:"createdAt"`
	UpdatedAt        timestamp         `json:"updatedAt"`
	WritePermissions string            `json:"writePermissions"`
}

const crmEnforced = "CRM_PERMISSIONS_ENFORCEMENT"

// defaultPipelines are what every account starts with, by type id.
var defaultPipelines = map[string]pipeline{
	"0-3": {ID: "default", Label: "Sales Pipeline", Stages: []*stage{
		dealStage("appointmentscheduled", "Appointment Scheduled", "0.2"), dealStage("qualifiedtobuy", "Qualified To Buy", "0.4"),
		dealStage("presentationscheduled", "Presentation Scheduled", "0.6"), dealStage("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
		dealStage("contractsent", "Contract Sent", "0.9"), dealStage("closedwon", "Closed Won", "1.0"), dealStage("closedlost", "Closed Lost", "0.0")}},
	"0-5": {ID: "0", Label: "Support Pipeline", Stages: []*stage{
		ticketStage("1", "New", "OPEN"), ticketStage("2", "Waiting on contact", "OPEN"), ticketStage("3", "Waiting on us", "OPEN"), ticketStage("4", "Closed", "CLOSED")}},
}

func dealStage(id, label, probability string) *stage {
	return &stage{ID: id, Label: label, Metadata: map[string]string{"probability": probability, "isClosed": closedText(probability == "1.0" || probability == "0.0")}}
}

func ticketStage(id, label, state string) *stage {
	return &stage{ID: id, Label: label, Metadata: map[string]string{"ticketState": state, "isClosed": closedText(state == "CLOSED")}}
}

func closedText(closed bool) string {
	if closed {
		return "true"
	}
	return "false"
}

// insertDefaultPipelines gives a new account its pipelines; their times are those of the epoch.
func insertDefaultPipelines(ctx context.Context, tx *sql.Tx, acct int64) error {
	for _, typeID := range sortedKeys(defaultPipelines) {
		p := defaultPipelines[typeID]
		if err := savePipeline(ctx, tx, acct, typeID, &p); err != nil {
			return err
		}
		for i, st := range p.Stages {
			s := *st
			s.DisplayOrder = int64(i)
			if err := saveStage(ctx, tx, acct, typeID, p.ID, &s); err != nil {
				return err
			}
		}
	}
	return nil
}

func archivedTime(at *timestamp) any {
	if at == nil {
		return nil
	}
	return int64(*at)
}

func savePipeline(ctx context.Context, tx *sql.Tx, acct int64, typeID string, p *pipeline) error {
	_, err := tx.ExecContext(ctx, `
		insert into crm_pipelines (acct, type_id, id, label, display_order, created_at, updated_at, archived_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (acct, type_id, id) do update set label = excluded.label, display_order = excluded.display_order,
			created_at = excluded.created_at, updated_at = excluded.updated_at, archived_at = excluded.archived_at`,
		acct, typeID, p.ID, p.Label, p.DisplayOrder, int64(p.CreatedAt), int64(p.UpdatedAt), archivedTime(p.ArchivedAt))
	if err != nil {
		return fmt.Errorf("crm: save pipeline: %w", err)
	}
	return nil
}

func saveStage(ctx context.Context, tx *sql.Tx, acct int64, typeID, pipelineID string, s *stage) error {
	meta, err := json.Marshal(s.Metadata)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		insert into crm_stages (acct, type_id, pipeline_id, id, label, display_order, metadata, created_at, updated_at, archived_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		on conflict (acct, type_id, pipeline_id, id) do update set label = excluded.label, display_order = excluded.display_order,
			metadata = excluded.metadata, created_at = excluded.created_at, updated_at = excluded.updated_at, archived_at = excluded.archived_at`,
		acct, typeID, pipelineID, s.ID, s.Label, s.DisplayOrder, string(meta), int64(s.CreatedAt), int64(s.UpdatedAt), archivedTime(s.ArchivedAt))
	if err != nil {
		return fmt.Errorf("crm: save stage: %w", err)
	}
	return nil
}

// pipelinesOf gives a type's pipelines with their stages in use, in their order.
func pipelinesOf(ctx context.Context, q querier, acct int64, t *objectType, archived bool) ([]*pipeline, error) {
	rows, err := q.QueryContext(ctx, `
		select id, label, display_order, created_at, updated_at, archived_at from crm_pipelines
		where acct = $1 and type_id = $2 and `+archivedIs(archived)+` order by display_order, id`, acct, t.ID)
	list, err := collect(rows, err, func(r *sql.Rows) (*pipeline, error) {
		p := &pipeline{Stages: []*stage{}}
		var at sql.NullInt64
		err := r.Scan(&p.ID, &p.Label, &p.DisplayOrder, &p.CreatedAt, &p.UpdatedAt, &at)
		p.Archived, p.ArchivedAt = at.Valid, optionalTime(at)
		return p, err
	})
	if err != nil || len(list) == 0 {
		return list, err
	}
	rows, err = q.QueryContext(ctx, `
		select pipeline_id, id, label, display_order, metadata, created_at, updated_at from crm_stages
		where acct = $1 and type_id = $2 and archived_at is null order by display_order, id`, acct, t.ID)
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var pid string
		var meta []byte
		s := &stage{WritePermissions: crmEnforced}
		if err := r.Scan(&pid, &s.ID, &s.Label, &s.DisplayOrder, &meta, &s.CreatedAt, &s.UpdatedAt); err != nil {
			return struct{}{}, err
		}
		if i := slices.IndexFunc(list, func(p *pipeline) bool { return p.ID == pid }); i >= 0 {
			list[i].Stages = append(list[i].Stages, s)
		}
		return struct{}{}, json.Unmarshal(meta, &s.Metadata)
	})
	if err != nil {
		return nil, fmt.Errorf("crm: stages: %w", err)
	}
	return list, nil
}

func optionalTime(v sql.NullInt64) *timestamp {
	if !v.Valid {
		return nil
	}
	at := timestamp(v.Int64)
	return &at
}

func pipelineByID(list []*pipeline, id string) *pipeline {
	if i := slices.IndexFunc(list, func(p *pipeline) bool { return p.ID == id }); i >= 0 {
		return list[i]
	}
	return nil
}

func (p *pipeline) stage(id string) *stage {
	if i := slices.IndexFunc(p.Stages, func(s *stage) bool { return s.ID == id }); i >= 0 {
		return p.Stages[i]
	}
	return nil
}

func stageOf(list []*pipeline, pipelineID, stageID string) *stage {
	if p := pipelineByID(list, pipelineID); p != nil {
		return p.stage(stageID)
	}
	return nil
}

// place checks that a record stands in a stage of its pipeline. A new record
// without a pipeline stands in the one that has its stage, or in the first; a new
// record without a stage, where none is needed, in the first stage.
func (r *rules) place(rec *record, isNew bool, changed []string) (more []string, bad []valueError) {
	t := r.typ
	if t.Pipeline == "" || len(r.pipelines) == 0 && rec.props[t.Pipeline] == "" && rec.props[t.Stage] == "" {
		return nil, nil
	}
	if !isNew && !slices.Contains(changed, t.Pipeline) && !slices.Contains(changed, t.Stage) {
		return nil, nil
	}
	s := &setter{rec: rec}
	if isNew && rec.props[t.Pipeline] == "" {
		s.set(t.Pipeline, r.homeOf(rec.props[t.Stage]))
	}
	p := pipelineByID(r.pipelines, rec.props[t.Pipeline])
	if p == nil {
		var ids []string
		for _, p := range r.pipelines {
			ids = append(ids, p.ID)
		}
		return nil, []valueError{{t.Pipeline, "INVALID_OPTION", fmt.Sprintf("%s was not one of the allowed options: %v", rec.props[t.Pipeline], ids)}}
	}
	if isNew && rec.props[t.Stage] == "" && !slices.Contains(t.Required, t.Stage) && len(p.Stages) > 0 {
		s.set(t.Stage, p.Stages[0].ID)
	}
	if stage := rec.props[t.Stage]; p.stage(stage) == nil && (stage != "" || !isNew) {
		var ids []string
		for _, st := range p.Stages {
			ids = append(ids, st.ID)
		}
		return nil, []valueError{{t.Stage, "INVALID_OPTION", fmt.Sprintf("%s was not one of the allowed options: %v of pipeline %s", stage, ids, p.ID)}}
	}
	return s.changed, nil
}

// homeOf gives the id of the pipeline that a stage is in, the first one preferred.
func (r *rules) homeOf(stageID string) string {
	for _, p := range r.pipelines {
		if stageID == "" || p.stage(stageID) != nil {
			return p.ID
		}
	}
	if len(r.pipelines) > 0 {
		return r.pipelines[0].ID
	}
	return ""
}
