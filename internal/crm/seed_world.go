package crm

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// How large the made-up company is.
const (
	seedOwners    = 8
	seedCompanies = 300
	seedContacts  = 2000
	seedDeals     = 600
	seedTickets   = 150
	seedNotes     = 420
	seedCalls     = 260
)

const aDay = 24 * time.Hour

var (
	byImport = source{"IMPORT", "spring-import", "Import of the old system"}
	byForm   = source{"FORM", "contact-form", "Contact form"}
	byHand   = source{"CRM_UI", "", ""}
	bySync   = source{"INTEGRATION", "nightly-sync", "nightly-sync"}
)

// start is when the history begins.
func (w *world) start() time.Time { return w.now.Add(-545 * aDay) }

// hire makes the owners, who were there from the beginning.
func (w *world) hire(ctx context.Context, tx *sql.Tx, acct int64) error {
	first, err := takeIDs(ctx, tx, acct, seedOwners)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range seedOwners {
		name, last := w.f.FirstName(), w.f.LastName()
		email := slug(name) + "@example.net"
		if seen[email] {
			email = slug(name) + "." + slug(last) + "@example.net"
		}
		seen[email] = true
		o := &Owner{ID: first + int64(i), Email: email, FirstName: name, LastName: last, Teams: []Team{teams[i%len(teams)]}}
		if err := saveOwner(ctx, tx, acct, o, micros(w.start()), micros(w.start())); err != nil {
			return err
		}
		w.owners = append(w.owners, o)
	}
	return nil
}

func (w *world) owner() string { return formatID(pick(w.guesser, w.owners).ID) }

// own gives a record an owner.
func (w *world) own(r *seeded, at time.Time, owner string) {
	r.put(at, "hubspot_owner_id", owner)
	r.rec.props["hubspot_owner_assigneddate"] = timestamp(micros(at)).String()
}

func (w *world) foundCompanies() (out []*seeded) {
	domains := map[string]bool{}
	for len(out) < seedCompanies {
		trade := pick(w.guesser, trades)
		name := w.f.LastName() + " " + pick(w.guesser, trade.words)
		if w.chance(25) {
			name = w.f.LastName() + " & " + name
		}
		domain := slug(name) + "." + pick(w.guesser, reservedDomains)
		if domains[domain] {
			continue
		}
		domains[domain] = true
		at := w.between(w.start(), w.now.Add(-20*aDay))
		src := byHand
		if len(out) < seedCompanies/3 {
			// A third was there when the history begins.
			at, src = w.start().Add(time.Duration(len(out))*time.Second), byImport
		}
		r := w.begin("companies", at, src)
		size := pick(w.guesser, []int{8, 12, 25, 40, 75, 120, 250, 600, 1500})
		put := func(k, v string) { r.put(r.created(), k, v) }
		put("name", name)
		put("domain", domain)
		put("website", "https://"+domain)
		put("industry", trade.industry)
		put("phone", w.phone())
		put("city", w.f.City())
		put("state", w.f.State())
		put("country", "United States")
		put("numberofemployees", strconv.Itoa(size+w.n(0, size/2)))
		put("annualrevenue", strconv.Itoa(size*w.n(80, 240)*1000))
		put("founded_year", strconv.Itoa(w.now.Year()-w.n(3, 60)))
		put("type", pick(w.guesser, []string{"PROSPECT", "PROSPECT", "PROSPECT", "PARTNER", "VENDOR", "OTHER"}))
		put("lifecyclestage", "lead")
		w.own(r, r.created(), w.owner())
		out = append(out, r)
	}
	return out
}

func (w *world) meetContacts(companies []*seeded) (out []*seeded) {
	emails := map[string]bool{}
	for len(out) < seedContacts {
		first, last := w.f.FirstName(), w.f.LastName()
		var company *seeded
		domain, from := pick(w.guesser, reservedDomains), w.start()
		if w.chance(93) {
			// Some firms have many contacts and most have few.
			company = companies[w.n(0, w.n(0, len(companies)-1))]
			domain, from = company.rec.props["domain"], company.created()
		}
		email := slug(first) + "." + slug(last) + "@" + domain
		if emails[email] {
			continue
		}
		emails[email] = true
		src := pick(w.guesser, []source{byHand, byForm, bySync})
		at := w.between(from, w.now.Add(-6*time.Hour))
		if company != nil && company.src == byImport && w.chance(35) {
			at, src = w.start().Add(time.Hour+time.Duration(len(out))*time.Second), byImport
		}
		r := w.begin("contacts", at, src)
		put := func(k, v string) { r.put(r.created(), k, v) }
		put("email", email)
		put("firstname", first)
		put("lastname", last)
		put("lifecyclestage", pick(w.guesser, []string{"subscriber", "lead", "lead", "lead", "marketingqualifiedlead", "salesqualifiedlead"}))
		if w.chance(85) {
			put("jobtitle", pick(w.guesser, jobs))
		}
		if w.chance(70) {
			put("phone", w.phone())
		}
		if w.chance(30) {
			put("mobilephone", w.phone())
		}
		if company != nil {
			put("company", company.rec.props["name"])
			put("city", company.rec.props["city"])
			put("state", company.rec.props["state"])
			put("country", "United States")
			r.to = append(r.to, company)
			w.own(r, r.created(), company.rec.props["hubspot_owner_id"])
		} else if w.chance(50) {
			w.own(r, r.created(), w.owner())
		}
		if w.chance(55) {
			later := w.between(r.created().Add(aDay), w.now)
			r.put(later, "hs_lead_status", pick(w.guesser, leadStatuses))
			if w.chance(20) {
				r.put(w.between(later, w.now), "jobtitle", pick(w.guesser, jobs))
			}
		}
		out = append(out, r)
	}
	return out
}

// openDeals makes deals of contacts with a company, each as far on its way as its age allows.
func (w *world) openDeals(companies, contacts []*seeded) (out []*seeded) {
	people := map[*seeded][]*seeded{}
	for _, c := range contacts {
		if len(c.to) > 0 {
			people[c.to[0]] = append(people[c.to[0]], c)
		}
	}
	stages := w.rules["deals"].pipelines[0].Stages
	for len(out) < seedDeals {
		company := companies[w.n(0, len(companies)-1)]
		staff := people[company]
		if len(staff) == 0 {
			continue
		}
		lead := pick(w.guesser, staff)
		r := w.begin("deals", w.between(lead.created(), w.now.Add(-2*time.Hour)), pick(w.guesser, []source{byHand, byHand, bySync}))
		at := r.created()
		size, _ := strconv.Atoi(company.rec.props["numberofemployees"])
		amount := (w.n(2, 30) + size/10) * w.n(3, 12) * 25
		r.put(at, "dealname", company.rec.props["name"]+" – "+pick(w.guesser, dealWords))
		r.put(at, "amount", strconv.Itoa(amount))
		r.put(at, "deal_currency_code", "USD")
		r.put(at, "pipeline", w.rules["deals"].pipelines[0].ID)
		r.put(at, "dealtype", pick(w.guesser, []string{"newbusiness", "newbusiness", "existingbusiness"}))
		r.put(at, "hs_priority", pick(w.guesser, []string{"low", "medium", "medium", "high"}))
		r.put(at, "dealstage", stages[0].ID)
		r.put(at, "closedate", timestamp(micros(at.Add(time.Duration(w.n(30, 120))*aDay))).String())
		w.own(r, at, company.rec.props["hubspot_owner_id"])
		w.advance(r, stages)
		r.to = append(r.to, company, lead)
		if other := pick(w.guesser, staff); other != lead && w.chance(45) {
			r.to = append(r.to, other)
		}
		w.celebrate(r, company, lead)
		out = append(out, r)
	}
	return out
}

// advance moves a deal through its stages, a week or three at each, until it is
// decided or today is reached.
func (w *world) advance(r *seeded, stages []*stage) {
	at := r.created()
	for _, st := range stages[1 : len(stages)-2] {
		at = w.between(at.Add(4*aDay), at.Add(24*aDay))
		if at.After(w.now) {
			return
		}
		if w.chance(14) {
			w.close(r, at, stages[len(stages)-1])
			return
		}
		r.put(at, "dealstage", st.ID)
		if w.chance(25) {
			amount, _ := strconv.Atoi(r.rec.props["amount"])
			r.put(at, "amount", strconv.Itoa(amount*w.n(80, 130)/100/25*25))
		}
	}
	if at = w.between(at.Add(2*aDay), at.Add(20*aDay)); !at.After(w.now) {
		w.close(r, at, stages[len(stages)-map[bool]int{true: 2, false: 1}[w.chance(62)]])
	}
}

func (w *world) close(r *seeded, at time.Time, st *stage) {
	r.put(at, "dealstage", st.ID)
	r.put(at, "closedate", timestamp(micros(at)).String())
	if st.Metadata["probability"] == "0.0" {
		r.put(at, "closed_lost_reason", pick(w.guesser, lostReasons))
	}
}

// celebrate makes customers of those who bought.
func (w *world) celebrate(deal, company, lead *seeded) {
	stage := "opportunity"
	at := deal.created()
	if deal.rec.props["dealstage"] == "closedwon" {
		stage, at = "customer", fromMicros(deal.rec.updated)
	}
	for _, r := range []*seeded{company, lead} {
		if r.rec.props["lifecyclestage"] != "customer" {
			r.put(at, "lifecyclestage", stage)
		}
	}
}

func (w *world) raiseTickets(contacts []*seeded) {
	p := w.rules["tickets"].pipelines[0]
	for n := 0; n < seedTickets; {
		c := pick(w.guesser, contacts)
		if len(c.to) == 0 {
			continue
		}
		n++
		r := w.begin("tickets", w.between(c.created(), w.now.Add(-time.Hour)), pick(w.guesser, []source{byHand, byForm}))
		at := r.created()
		topic := pick(w.guesser, ticketTopics)
		r.put(at, "subject", topic)
		r.put(at, "content", fmt.Sprintf("%s. Reported by %s %s.", topic, c.rec.props["firstname"], c.rec.props["lastname"]))
		r.put(at, "hs_pipeline", p.ID)
		r.put(at, "hs_pipeline_stage", p.Stages[0].ID)
		r.put(at, "hs_ticket_priority", pick(w.guesser, []string{"LOW", "MEDIUM", "MEDIUM", "HIGH", "URGENT"}))
		r.put(at, "hs_ticket_category", pick(w.guesser, []string{"PRODUCT_ISSUE", "PRODUCT_ISSUE", "BILLING_ISSUE", "FEATURE_REQUEST", "GENERAL_INQUIRY", "PRODUCT_ISSUE;BILLING_ISSUE"}))
		r.put(at, "source_type", pick(w.guesser, []string{"EMAIL", "FORM", "PHONE", "CHAT"}))
		w.own(r, at, w.owner())
		for _, st := range p.Stages[1:] {
			if at = at.Add(time.Duration(w.n(2, 60)) * time.Hour); at.After(w.now) || w.chance(10) {
				break
			}
			r.put(at, "hs_pipeline_stage", st.ID)
			if st.Metadata["ticketState"] == "CLOSED" {
				r.put(at, "closed_date", timestamp(micros(at)).String())
			}
		}
		r.to = append(r.to, c, c.to[0])
	}
}

func (w *world) logActivities(contacts, deals []*seeded) {
	for range seedNotes {
		about := pick(w.guesser, deals)
		r := w.begin("notes", w.between(about.created(), w.now), byHand)
		r.put(r.created(), "hs_note_body", "<p>"+pick(w.guesser, noteTexts)+"</p>")
		r.put(r.created(), "hs_timestamp", timestamp(r.rec.created).String())
		w.own(r, r.created(), about.rec.props["hubspot_owner_id"])
		r.to = append(r.to, about, about.to[0], about.to[1])
	}
	for range seedCalls {
		c := pick(w.guesser, contacts)
		r := w.begin("calls", w.between(c.created(), w.now), byHand)
		at := r.created()
		answered := w.chance(70)
		r.put(at, "hs_call_title", pick(w.guesser, callTitles)+" with "+c.rec.props["firstname"])
		r.put(at, "hs_timestamp", timestamp(r.rec.created).String())
		r.put(at, "hs_call_direction", pick(w.guesser, []string{"OUTBOUND", "OUTBOUND", "INBOUND"}))
		r.put(at, "hs_call_to_number", c.rec.props["phone"])
		r.put(at, "hs_call_status", map[bool]string{true: "COMPLETED", false: "NO_ANSWER"}[answered])
		if answered {
			r.put(at, "hs_call_duration", strconv.Itoa(w.n(40, 1900)*1000))
			r.put(at, "hs_call_body", strings.TrimSuffix(pick(w.guesser, noteTexts), ".")+".")
			r.put(at, "hs_call_disposition", "connected")
		}
		w.own(r, at, w.owner())
		r.to = append(r.to, c)
		r.to = append(r.to, c.to...)
	}
}
