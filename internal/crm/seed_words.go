package crm

import (
	"fmt"
	"strings"
	"time"

	"github.com/brianvoe/gofakeit/v7"
)

// guesser makes things up, always the same for a seed.
type guesser struct {
	f *gofakeit.Faker
}

// mix keeps the zero seed from being one that the generator replaces by chance.
const mix = 0x9e3779b97f4a7c15

func newGuesser(seed uint64) *guesser { return &guesser{gofakeit.New(seed ^ mix)} }

func (g *guesser) n(lo, hi int) int { return g.f.Number(lo, hi) }

// chance is true in so many of a hundred cases.
func (g *guesser) chance(percent int) bool { return g.n(1, 100) <= percent }

func pick[T any](g *guesser, list []T) T { return list[g.n(0, len(list)-1)] }

// between is a moment between two, in working hours.
func (g *guesser) between(from, to time.Time) time.Time {
	if !to.After(from) {
		return from
	}
	at := from.Add(time.Duration(g.f.Float64Range(0, 1) * float64(to.Sub(from))))
	day := at.Truncate(24 * time.Hour).Add(time.Duration(g.n(8*60, 18*60))*time.Minute + time.Duration(g.n(0, 59))*time.Second)
	if day.Before(from) || day.After(to) {
		return at.Truncate(time.Second)
	}
	return day
}

// phone is a number of the range that is kept for fiction.
func (g *guesser) phone() string {
	return fmt.Sprintf("+1 %d 555 01%02d", pick(g, []int{206, 212, 303, 312, 404, 415, 512, 617, 702, 919}), g.n(0, 99))
}

// slug makes a name fit for an address.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

// trades are lines of business: the value of the industry property, and the words
// that such firms have in their names.
var trades = []struct {
	industry string
	words    []string
}{
	{"LOGISTICS", []string{"Logistics", "Freight", "Haulage"}}, {"SOFTWARE", []string{"Systems", "Software", "Labs"}},
	{"CONSTRUCTION", []string{"Builders", "Construction", "Roofing"}}, {"FOOD_AND_BEVERAGES", []string{"Foods", "Bakery", "Roasters"}},
	{"HEALTHCARE", []string{"Clinics", "Health", "Dental"}}, {"MANUFACTURING", []string{"Works", "Tooling", "Castings"}},
	{"RETAIL", []string{"Outfitters", "Stores", "Supply"}}, {"FINANCIAL_SERVICES", []string{"Capital", "Partners", "Advisers"}},
	{"EDUCATION", []string{"Academy", "Learning", "Tutors"}}, {"ENERGY", []string{"Energy", "Solar", "Power"}},
	{"HOSPITALITY", []string{"Hotels", "Inns", "Catering"}}, {"MEDIA", []string{"Media", "Studios", "Press"}},
	{"LEGAL_SERVICES", []string{"Law", "Legal", "Chambers"}}, {"AUTOMOTIVE", []string{"Motors", "Garage", "Coachworks"}},
	{"REAL_ESTATE", []string{"Properties", "Lettings", "Estates"}}, {"BIOTECHNOLOGY", []string{"Biosciences", "Genetics", "Diagnostics"}},
}

var (
	reservedDomains = []string{"example.org", "example.net", "example.com"}
	jobs            = []string{"Head of Operations", "Operations Manager", "Finance Director", "Buyer", "Office Manager", "IT Manager", "Data Analyst",
		"Chief Executive", "Sales Manager", "Marketing Manager", "Plant Manager", "Warehouse Lead", "Project Manager", "Head of IT", "Controller", "Founder"}
	leadStatuses = []string{"NEW", "OPEN", "IN_PROGRESS", "CONNECTED", "ATTEMPTED_TO_CONTACT", "UNQUALIFIED", "BAD_TIMING"}
	dealWords    = []string{"Rollout", "Renewal", "Pilot", "Expansion", "Migration", "New sites", "Annual plan", "Upgrade", "Training", "Extra seats"}
	lostReasons  = []string{"Went with another supplier", "No budget this year", "The project was stopped", "No answer for two months", "A feature was missing"}
	ticketTopics = []string{"Can't sign in", "Invoice shows the wrong address", "Export stops half-way", "Report is a day behind", "Add a second warehouse",
		"Labels print blank", "How do I change the owner?", "Import rejected every row", "Slow since the update", "Refund for a duplicate order"}
	noteTexts = []string{"Spoke at the trade fair; wants a demonstration next week.", "Asked for references in the same line of business.",
		"Contract is with their lawyers.", "Prefers to be called after three.", "New budget starts in April.", "Wants the figures by site, not by region.",
		"Happy with the pilot; two more teams are interested.", "Sent the revised offer.", "Their old system is switched off at the end of the quarter."}
	callTitles = []string{"First call", "Follow-up", "Demonstration", "Price discussion", "Check-in", "Hand-over to support", "Renewal talk"}
	teams      = []Team{{ID: "1", Name: "North", Primary: true}, {ID: "2", Name: "South", Primary: true}, {ID: "3", Name: "Customer care", Primary: true}}
)
