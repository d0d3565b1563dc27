package crm

// standardTypes are the types that every account has. A new type is a row here and,
// where it has properties of its own, rows in properties_table.go.
var standardTypes = []objectType{
	{ID: "0-1", Name: "contact", Plural: "contacts", Mergeable: true, Read: []string{"crm.objects.contacts.read"}, Write: []string{"crm.objects.contacts.write"},
		Created: "createdate", Modified: "lastmodifieddate", History: 45,
		Defaults: []string{"createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"},
		Search:   []string{"firstname", "lastname", "email", "phone", "mobilephone", "fax", "company", "hs_additional_emails"},
		Display:  []string{"firstname", "lastname"}},
	{ID: "0-2", Name: "company", Plural: "companies", Mergeable: true, Read: []string{"crm.objects.companies.read"}, Write: []string{"crm.objects.companies.write"},
		Created:  "createdate",
		Defaults: []string{"createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"},
		Search:   []string{"name", "domain", "website", "phone"}, Display: []string{"name"}, OneOf: []string{"name", "domain"}},
	{ID: "0-3", Name: "deal", Plural: "deals", Mergeable: true, Read: []string{"crm.objects.deals.read"}, Write: []string{"crm.objects.deals.write"},
		Created:  "createdate",
		Defaults: []string{"amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "hs_object_id", "pipeline"},
		Search:   []string{"dealname", "dealstage", "pipeline", "dealtype", "description"}, Display: []string{"dealname"},
		Pipeline: "pipeline", Stage: "dealstage"},
	{ID: "0-5", Name: "ticket", Plural: "tickets", Mergeable: true, Read: []string{"tickets"}, Write: []string{"tickets"}, SchemaWrite: []string{"tickets"},
		Created: "createdate",
		Defaults: []string{"content", "createdate", "hs_lastmodifieddate", "hs_object_id", "hs_pipeline", "hs_pipeline_stage",
			"hs_ticket_category", "hs_ticket_priority", "subject"},
		Search:  []string{"subject", "content", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_id"},
		Display: []string{"subject"}, Required: []string{"subject", "hs_pipeline_stage"}, Pipeline: "hs_pipeline", Stage: "hs_pipeline_stage"},
	{ID: "0-7", Name: "product", Plural: "products", Read: []string{"crm.objects.products.read", "e-commerce"},
		Write: []string{"crm.objects.products.write", "e-commerce"}, SchemaWrite: []string{"e-commerce"}, Created: "createdate",
		Defaults: []string{"createdate", "description", "hs_lastmodifieddate", "hs_object_id", "name", "price"},
		Search:   []string{"name", "description", "price", "hs_sku"}, Display: []string{"name"}, Required: []string{"name"}},
	{ID: "0-8", Name: "line_item", Plural: "line_items", Read: []string{"crm.objects.line_items.read", "e-commerce"},
		Write: []string{"crm.objects.line_items.write", "e-commerce"}, SchemaWrite: []string{"e-commerce"}, Created: "createdate",
		Defaults: []string{"amount", "createdate", "hs_lastmodifieddate", "hs_object_id", "price", "quantity"},
		Search:   []string{"name", "description", "price", "hs_sku"}, Display: []string{"name"}},
	{ID: "0-14", Name: "quote", Plural: "quotes", Read: []string{"crm.objects.quotes.read", "e-commerce"},
		Write: []string{"crm.objects.quotes.write", "e-commerce"},
		Defaults: []string{"hs_createdate", "hs_expiration_date", "hs_lastmodifieddate", "hs_object_id", "hs_public_url_key",
			"hs_status", "hs_title"},
		Search:  []string{"hs_title", "hs_quote_number", "hs_sender_company_name", "hs_sender_email"},
		Display: []string{"hs_title"}, Required: []string{"hs_title", "hs_expiration_date"}},
	activity("0-18", "communication", "communications", nil, "hs_communication_body", []string{"hs_timestamp"}),
	{ID: "0-19", Name: "feedback_submission", Plural: "feedback_submissions",
		Read:   []string{"crm.objects.feedback_submissions.read", "crm.objects.contacts.read"},
		Search: []string{"hs_content"}, Display: []string{"hs_content"}},
	activity("0-27", "task", "tasks", []string{"crm.objects.tasks.read"}, "hs_task_subject", []string{"hs_timestamp"}, "hs_body_preview"),
	activity("0-46", "note", "notes", []string{"crm.objects.notes.read"}, "hs_note_body", []string{"hs_timestamp"}),
	activity("0-47", "meeting", "meetings", []string{"crm.objects.meetings.read"}, "hs_meeting_title", []string{"hs_timestamp"}, "hs_meeting_body"),
	activity("0-48", "call", "calls", []string{"crm.objects.calls.read"}, "hs_call_title", []string{"hs_timestamp"}, "hs_body_preview"),
	{ID: "0-49", Name: "email", Plural: "emails", Read: []string{"crm.objects.contacts.read", "sales-email-read", "crm.objects.emails.read"},
		Write: []string{"crm.objects.contacts.write", "sales-email-read"}, Schema: "contacts",
		Search: []string{"hs_email_subject"}, Display: []string{"hs_email_subject"}, Required: []string{"hs_timestamp", "hs_email_direction"}},
	ordinary("0-53", "invoice", "invoices", "hs_number"),
	ordinary("0-69", "subscription", "subscriptions", "hs_name"),
	{ID: "0-74", Name: "goal_target", Plural: "goal_targets", Read: []string{"crm.objects.goals.read"}, Write: []string{"crm.objects.goals.write"},
		Schema: "goals", Search: []string{"hs_goal_name"}, Display: []string{"hs_goal_name"}},
	priced("0-84", "discount", "discounts"),
	priced("0-85", "fee", "fees"),
	priced("0-86", "tax", "taxes"),
	{ID: "0-101", Name: "commerce_payment", Plural: "commerce_payments", Read: []string{"crm.objects.commercepayments.read"},
		Write: []string{"crm.objects.commercepayments.write"}, Schema: "commercepayments",
		Search: []string{"hs_reference_number"}, Display: []string{"hs_reference_number"}},
	{ID: "0-115", Name: "user", Plural: "users", Read: []string{"crm.objects.users.read"}, Write: []string{"crm.objects.users.write"},
		SchemaWrite: []string{"crm.objects.users.write"}, Search: []string{"hs_given_name", "hs_family_name", "hs_email"},
		Display: []string{"hs_given_name", "hs_family_name"}},
	activity("0-116", "postal_mail", "postal_mail", nil, "hs_postal_mail_body", []string{"hs_timestamp"}),
	{ID: "0-123", Name: "order", Plural: "orders", Read: []string{"crm.objects.orders.read"}, Write: []string{"crm.objects.orders.write"},
		SchemaWrite: []string{"crm.objects.orders.write", "crm.pipelines.orders.write"}, Search: []string{"hs_order_name"},
		Display: []string{"hs_order_name"}, Pipeline: "hs_pipeline", Stage: "hs_pipeline_stage"},
	staged("0-136", "lead", "leads", "hs_lead_name"),
	{ID: "0-142", Name: "cart", Plural: "carts", Read: []string{"crm.objects.carts.read"}, Write: []string{"crm.objects.carts.write"},
		SchemaWrite: []string{"crm.objects.carts.write"}, Search: []string{"hs_cart_name"}, Display: []string{"hs_cart_name"}},
	staged("0-162", "service", "services", "hs_name"),
	staged("0-410", "course", "courses", "hs_course_name"),
	staged("0-420", "listing", "listings", "hs_name"),
	staged("0-421", "appointment", "appointments", "hs_appointment_name"),
	ordinary("0-970", "project", "projects", "hs_name"),
}

// customScopes are the scopes of the records of an account's own types.
var customScopes = objectType{Read: []string{"crm.objects.custom.read"}, Write: []string{"crm.objects.custom.write"}, Schema: "custom"}

// activity is a type of what people did with a contact; its scopes are those of contacts.
func activity(id, name, plural string, read []string, display string, required []string, search ...string) objectType {
	return objectType{ID: id, Name: name, Plural: plural, Read: append([]string{"crm.objects.contacts.read"}, read...),
		Write: []string{"crm.objects.contacts.write"}, Schema: "contacts", Display: []string{display}, Search: append([]string{display}, search...), Required: required}
}

// ordinary is a type whose scopes are named for it.
func ordinary(id, name, plural, display string) objectType {
	return objectType{ID: id, Name: name, Plural: plural, Read: []string{"crm.objects." + plural + ".read"},
		Write: []string{"crm.objects." + plural + ".write"}, Display: []string{display}, Search: []string{display}}
}

// staged is an ordinary type whose records move through the stages of a pipeline.
func staged(id, name, plural, display string) objectType {
	t := ordinary(id, name, plural, display)
	t.Pipeline, t.Stage = "hs_pipeline", "hs_pipeline_stage"
	return t
}

// priced is a type of what changes the price of line items; its scopes are theirs.
func priced(id, name, plural string) objectType {
	return objectType{ID: id, Name: name, Plural: plural, Read: []string{"crm.objects.line_items.read"}, Write: []string{"crm.objects.line_items.write"},
		Schema: "line_items", Display: []string{"hs_label"}, Search: []string{"hs_label"}}
}
