package crm

import (
	"slices"
	"strconv"
	"strings"
)

// Some values follow from others, or from how a record came to be. The few rules
// that belong to one type stand here, by its name.

// derivers set what follows from a record's values. was is the value that a
// property had before the write.
var derivers = map[string]func(r *rules, rec *record, was func(string) string, isNew bool) []string{
	"contacts":   (*rules).deriveContact,
	"deals":      (*rules).deriveDeal,
	"tickets":    (*rules).deriveTicket,
	"line_items": (*rules).deriveLineItem,
}

// previewOf are the properties that a body's preview is made of.
var previewOf = map[string]string{"notes": "hs_note_body", "tasks": "hs_task_body", "calls": "hs_call_body", "emails": "hs_email_text",
	"meetings": "hs_meeting_body", "communications": "hs_communication_body", "postal_mail": "hs_postal_mail_body"}

// derive completes a draft after its values are accepted.
func (w *writer) derive(d *draft, before map[string]string) {
	set := func(name, v string) {
		if d.rec.set(name, v) && !slices.Contains(d.changed, name) {
			d.changed = append(d.changed, name)
		}
	}
	was := func(name string) string { return before[name] }
	if d.isNew {
		set("hs_object_source", w.src.kind)
		set("hs_object_source_id", w.src.id)
		set("hs_object_source_label", w.src.label)
	}
	if owner := d.rec.props["hubspot_owner_id"]; owner != was("hubspot_owner_id") {
		set("hubspot_owner_assigneddate", map[bool]string{true: "", false: timestamp(w.now).String()}[owner == ""])
	}
	if body, ok := previewOf[w.typ.Plural]; ok {
		set("hs_body_preview", preview(d.rec.props[body]))
	}
	if fn := derivers[w.typ.Plural]; fn != nil {
		for _, n := range fn(w.rules, d.rec, was, d.isNew) {
			if !slices.Contains(d.changed, n) {
				d.changed = append(d.changed, n)
			}
		}
	}
}

// identify sets what follows from a record's id.
func (r *rules) identify(rec *record) (changed []string) {
	for _, n := range map[string][]string{"contacts": {"hs_all_contact_vids"}, "tickets": {"hs_ticket_id"}}[r.typ.Plural] {
		rec.set(n, formatID(rec.id))
		changed = append(changed, n)
	}
	return changed
}

// setter collects the names of what it changes.
type setter struct {
	rec     *record
	changed []string
}

func (s *setter) set(name, v string) {
	if s.rec.set(name, v) {
		s.changed = append(s.changed, name)
	}
}

func (r *rules) deriveContact(rec *record, _ func(string) string, isNew bool) []string {
	s := &setter{rec: rec}
	_, domain, _ := strings.Cut(rec.props["email"], "@")
	s.set("hs_email_domain", domain)
	name := strings.TrimSpace(rec.props["firstname"] + " " + rec.props["lastname"])
	if name == "" {
		name = rec.props["email"]
	}
	s.set("hs_full_name_or_email", name)
	if isNew && rec.props["lifecyclestage"] == "" {
		s.set("lifecyclestage", "lead")
	}
	return s.changed
}

func (r *rules) deriveDeal(rec *record, was func(string) string, isNew bool) []string {
	s := &setter{rec: rec}
	st := stageOf(r.pipelines, rec.props["pipeline"], rec.props["dealstage"])
	if st == nil {
		return nil
	}
	probability := st.Metadata["probability"]
	closed := st.Metadata["isClosed"] == "true"
	s.set("hs_deal_stage_probability", probability)
	s.set("hs_is_closed", strconv.FormatBool(closed))
	p, _ := strconv.ParseFloat(probability, 64)
	s.set("hs_is_closed_won", strconv.FormatBool(closed && p == 1))
	amount := rec.props["amount"]
	s.set("amount_in_home_currency", amount)
	forecast := ""
	if a, err := strconv.ParseFloat(amount, 64); err == nil {
		forecast = strconv.FormatFloat(roundCents(a*p), 'f', -1, 64)
	}
	s.set("hs_forecast_amount", forecast)
	entered := isNew || was("dealstage") != rec.props["dealstage"]
	if closed && entered && rec.props["closedate"] == "" {
		s.set("closedate", timestamp(r.now).String())
	}
	days := ""
	if at, ok := parseTime(rec.props["closedate"]); ok && closed {
		days = strconv.Itoa(int(max(0, at.Sub(fromMicros(rec.created)).Hours()/24)))
	}
	s.set("days_to_close", days)
	return s.changed
}

func (r *rules) deriveTicket(rec *record, was func(string) string, isNew bool) []string {
	s := &setter{rec: rec}
	st := stageOf(r.pipelines, rec.props["hs_pipeline"], rec.props["hs_pipeline_stage"])
	if st == nil {
		return nil
	}
	closed := st.Metadata["ticketState"] == "CLOSED"
	switch {
	case !closed:
		s.set("closed_date", "")
	case rec.props["closed_date"] == "" && (isNew || was("hs_pipeline_stage") != rec.props["hs_pipeline_stage"]):
		s.set("closed_date", timestamp(r.now).String())
	}
	took := ""
	if at, ok := parseTime(rec.props["closed_date"]); ok {
		took = formatID(max(0, at.Sub(fromMicros(rec.created)).Milliseconds()))
	}
	s.set("time_to_close", took)
	return s.changed
}

func (r *rules) deriveLineItem(rec *record, _ func(string) string, _ bool) []string {
	s := &setter{rec: rec}
	num := func(name string, absent float64) float64 {
		if f, err := strconv.ParseFloat(rec.props[name], 64); err == nil {
			return f
		}
		return absent
	}
	amount := ""
	if rec.props["price"] != "" {
		total := num("price", 0)*num("quantity", 1) - num("discount", 0)
		amount = strconv.FormatFloat(roundCents(total*(1-num("hs_discount_percentage", 0)/100)), 'f', -1, 64)
	}
	s.set("amount", amount)
	return s.changed
}

func roundCents(f float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', 2, 64), 64)
	if err != nil {
		return f
	}
	return r
}

// preview is the beginning of a body without its markup.
func preview(body string) string {
	var b strings.Builder
	inside := false
	for _, r := range body {
		switch {
		case r == '<':
			inside = true
		case r == '>' && inside:
			inside = false
			b.WriteByte(' ')
		case !inside:
			b.WriteRune(r)
		}
		if b.Len() > 300 {
			return strings.Join(strings.Fields(b.String()), " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
