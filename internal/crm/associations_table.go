package crm

// associationRow is a standard kind of association, in both directions. The first
// row of a pair without a label is its default. Pairs that aren't listed have a
// default too, whose id follows from the places of the two types in their table.
type associationRow struct {
	from, to            string
	id, inverse         int64
	name, inverseName   string // where empty, "from_to_to"
	label, inverseLabel string
}

const (
	labelPrimary = "Primary"
	// firstPairKind is the id from which those of unlisted pairs are reckoned.
	firstPairKind = 1000
	pairWidth     = 64
)

var associationRows = []associationRow{
	{"contact", "company", 279, 280, "contact_to_company_unlabeled", "company_to_contact_unlabeled", "", ""},
	{"contact", "company", 1, 2, "", "", labelPrimary, labelPrimary},
	{"contact", "company", 931, 932, "billing_contact_to_company", "company_to_billing_contact", "Billing contact", "Billing contact"},
	{"contact", "contact", 449, 449, "", "", "", ""},
	{"company", "company", 450, 450, "", "", "", ""},
	{"company", "company", 13, 14, "parent_to_child_company", "child_to_parent_company", "Child company", "Parent company"},
	{"deal", "contact", 3, 4, "", "", "", ""},
	{"deal", "company", 341, 342, "deal_to_company_unlabeled", "company_to_deal_unlabeled", "", ""},
	{"deal", "company", 5, 6, "", "", labelPrimary, labelPrimary},
	{"deal", "deal", 451, 451, "", "", "", ""},
	{"deal", "line_item", 19, 20, "", "", "", ""},
	{"deal", "quote", 63, 64, "", "", "", ""},
	{"ticket", "ticket", 452, 452, "", "", "", ""},
	{"ticket", "contact", 16, 15, "", "", "", ""},
	{"ticket", "company", 339, 340, "ticket_to_company_unlabeled", "company_to_ticket_unlabeled", "", ""},
	{"ticket", "company", 26, 25, "", "", labelPrimary, labelPrimary},
	{"ticket", "deal", 28, 27, "", "", "", ""},
	{"quote", "line_item", 67, 68, "", "", "", ""},
	{"quote", "contact", 69, 70, "", "", "", ""},
	{"quote", "contact", 702, 703, "quote_to_contact_signer", "contact_signer_to_quote", "Contact signer", "Contact signer"},
	{"quote", "company", 71, 72, "", "", "", ""},
	{"quote", "discount", 362, 363, "", "", "", ""},
	{"quote", "fee", 364, 365, "", "", "", ""},
	{"quote", "tax", 366, 367, "", "", "", ""},
	{"contact", "feedback_submission", 97, 98, "", "", "", ""},
	{"ticket", "feedback_submission", 99, 100, "", "", "", ""},
	{"call", "meeting", 399, 400, "", "", "", ""},
	{"task", "quote", 218, 217, "", "", "", ""},

	{"call", "contact", 194, 193, "", "", "", ""},
	{"call", "company", 182, 181, "", "", "", ""},
	{"call", "deal", 206, 205, "", "", "", ""},
	{"call", "ticket", 220, 219, "", "", "", ""},
	{"email", "contact", 198, 197, "", "", "", ""},
	{"email", "company", 186, 185, "", "", "", ""},
	{"email", "deal", 210, 209, "", "", "", ""},
	{"email", "ticket", 224, 223, "", "", "", ""},
	{"meeting", "contact", 200, 199, "", "", "", ""},
	{"meeting", "company", 188, 187, "", "", "", ""},
	{"meeting", "deal", 212, 211, "", "", "", ""},
	{"meeting", "ticket", 226, 225, "", "", "", ""},
	{"note", "contact", 202, 201, "", "", "", ""},
	{"note", "company", 190, 189, "", "", "", ""},
	{"note", "deal", 214, 213, "", "", "", ""},
	{"note", "ticket", 228, 227, "", "", "", ""},
	{"task", "contact", 204, 203, "", "", "", ""},
	{"task", "company", 192, 191, "", "", "", ""},
	{"task", "deal", 216, 215, "", "", "", ""},
	{"task", "ticket", 230, 229, "", "", "", ""},
	{"communication", "contact", 81, 82, "", "", "", ""},
	{"communication", "company", 87, 88, "", "", "", ""},
	{"communication", "deal", 85, 86, "", "", "", ""},
	{"communication", "ticket", 83, 84, "", "", "", ""},
	{"postal_mail", "contact", 453, 454, "", "", "", ""},
	{"postal_mail", "company", 459, 460, "", "", "", ""},
	{"postal_mail", "deal", 457, 458, "", "", "", ""},
	{"postal_mail", "ticket", 455, 456, "", "", "", ""},
}

// standardKinds are the kinds of the listed pairs, by the type ids of both sides.
var standardKinds = func() map[[2]string][]*kind {
	m := map[[2]string][]*kind{}
	for _, r := range associationRows {
		from, to := standard[r.from], standard[r.to]
		there := &kind{category: hubspotDefined, id: r.id, inverse: r.inverse, from: from.ID, to: to.ID, name: r.name, label: r.label}
		back := &kind{category: hubspotDefined, id: r.inverse, inverse: r.id, from: to.ID, to: from.ID, name: r.inverseName, label: r.inverseLabel}
		if there.name == "" {
			there.name, back.name = pairName(from, to), pairName(to, from)
		}
		m[[2]string{from.ID, to.ID}] = append(m[[2]string{from.ID, to.ID}], there)
		if r.id != r.inverse {
			m[[2]string{to.ID, from.ID}] = append(m[[2]string{to.ID, from.ID}], back)
		}
	}
	for i := range standardTypes {
		for j := range standardTypes {
			from, to := &standardTypes[i], &standardTypes[j]
			pair := [2]string{from.ID, to.ID}
			if len(m[pair]) == 0 {
				m[pair] = []*kind{{category: hubspotDefined, id: int64(firstPairKind + i*pairWidth + j), inverse: int64(firstPairKind + j*pairWidth + i),
					from: from.ID, to: to.ID, name: pairName(from, to)}}
			}
		}
	}
	return m
}()

func pairName(from, to *objectType) string { return from.Name + "_to_" + to.Name }
