package crm

import "strings"

// propertyRow is a standard property: its name, what it is ("type/fieldType"), and
// marks: r its value is read-only, u unique, o an owner, x its options live
// elsewhere (pipelines), c calculated. Options are values, with a label behind "="
// where it isn't the value in plain words.
type propertyRow struct {
	name, kind, marks, options string
}

// The kinds of property.
const (
	text     = "string/text"
	area     = "string/textarea"
	rich     = "string/html"
	phone    = "string/phonenumber"
	number   = "number/number"
	day      = "date/date"
	moment   = "datetime/date"
	choice   = "enumeration/select"
	radio    = "enumeration/radio"
	multiple = "enumeration/checkbox"
	yesNo    = "bool/booleancheckbox"
)

const (
	lifecycle  = "subscriber lead marketingqualifiedlead=Marketing_qualified_lead salesqualifiedlead=Sales_qualified_lead opportunity customer evangelist other"
	currencies = "USD=US_dollar EUR=Euro GBP=Pound_sterling CHF=Swiss_franc JPY=Yen CAD=Canadian_dollar AUD=Australian_dollar SEK=Swedish_krona"
	billing    = "monthly quarterly per_six_months annually per_two_years per_three_years"
	industries = "ACCOUNTING AUTOMOTIVE BANKING BIOTECHNOLOGY CONSTRUCTION CONSUMER_GOODS EDUCATION ENERGY ENTERTAINMENT FINANCIAL_SERVICES " +
		"FOOD_AND_BEVERAGES HEALTHCARE HOSPITALITY INSURANCE LEGAL_SERVICES LOGISTICS MACHINERY MANUFACTURING MEDIA PHARMACEUTICALS REAL_ESTATE " +
		"RETAIL SOFTWARE TELECOMMUNICATIONS TEXTILES TRANSPORTATION UTILITIES WHOLESALE"
)

// systemRows are the properties that every type has.
var systemRows = []propertyRow{
	{"hs_object_id", number, "r", ""}, {"hs_createdate", moment, "r", ""}, {"hs_lastmodifieddate", moment, "r", ""},
	{"hubspot_owner_id", choice, "o", ""}, {"hubspot_owner_assigneddate", moment, "r", ""},
	{"hs_object_source", text, "r", ""}, {"hs_object_source_id", text, "r", ""}, {"hs_object_source_label", text, "r", ""},
	{"hs_created_by_user_id", number, "r", ""}, {"hs_updated_by_user_id", number, "r", ""},
	{"hs_merged_object_ids", multiple, "rx", ""}, {"hs_unique_creation_key", text, "r", ""},
}

// pipelineRows are those of the types that move through a pipeline and have no names of their own for it.
var pipelineRows = []propertyRow{{"hs_pipeline", choice, "x", ""}, {"hs_pipeline_stage", radio, "x", ""}}

func withPipeline(rows ...propertyRow) []propertyRow { return append(rows, pipelineRows...) }

// propertyRows are the standard properties of each type, by its plural name.
var propertyRows = map[string][]propertyRow{
	"contacts": {
		{"email", text, "u", ""}, {"firstname", text, "", ""}, {"lastname", text, "", ""}, {"jobtitle", text, "", ""}, {"company", text, "", ""},
		{"website", text, "", ""}, {"address", text, "", ""}, {"city", text, "", ""}, {"state", text, "", ""}, {"zip", text, "", ""},
		{"country", text, "", ""}, {"salutation", text, "", ""}, {"industry", text, "", ""}, {"message", area, "", ""},
		{"phone", phone, "", ""}, {"mobilephone", phone, "", ""}, {"fax", phone, "", ""}, {"lifecyclestage", radio, "", lifecycle},
		{"hs_lead_status", radio, "", "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING"},
		{"annualrevenue", text, "", ""}, {"numemployees", text, "", ""}, {"date_of_birth", text, "", ""},
		{"createdate", moment, "r", ""}, {"lastmodifieddate", moment, "r", ""}, {"closedate", moment, "", ""},
		{"associatedcompanyid", number, "r", ""}, {"hs_email_domain", text, "r", ""}, {"hs_full_name_or_email", text, "r", ""},
		{"hs_all_contact_vids", text, "r", ""}, {"hs_additional_emails", multiple, "x", ""},
		{"num_notes", number, "r", ""}, {"num_associated_deals", number, "r", ""},
	},
	"companies": {
		{"name", text, "", ""}, {"domain", text, "", ""}, {"website", text, "", ""}, {"phone", phone, "", ""}, {"address", text, "", ""},
		{"address2", text, "", ""}, {"city", text, "", ""}, {"state", text, "", ""}, {"zip", text, "", ""}, {"country", text, "", ""},
		{"description", area, "", ""}, {"founded_year", text, "", ""}, {"timezone", text, "", ""}, {"industry", choice, "", industries},
		{"type", radio, "", "PROSPECT PARTNER RESELLER VENDOR OTHER"}, {"annualrevenue", number, "", ""}, {"numberofemployees", number, "", ""},
		{"lifecyclestage", radio, "", lifecycle}, {"createdate", moment, "", ""}, {"closedate", moment, "", ""},
		{"num_associated_contacts", number, "r", ""}, {"num_associated_deals", number, "r", ""}, {"num_notes", number, "r", ""},
		{"hs_parent_company_id", number, "r", ""}, {"is_public", yesNo, "", ""},
	},
	"deals": {
		{"dealname", text, "", ""}, {"description", area, "", ""}, {"closed_lost_reason", area, "", ""}, {"closed_won_reason", area, "", ""},
		{"hs_next_step", text, "", ""}, {"amount", number, "", ""}, {"amount_in_home_currency", number, "rc", ""},
		{"hs_forecast_amount", number, "rc", ""}, {"hs_deal_stage_probability", number, "rc", ""}, {"days_to_close", number, "rc", ""},
		{"deal_currency_code", choice, "", currencies}, {"dealstage", radio, "x", ""}, {"pipeline", choice, "x", ""},
		{"dealtype", radio, "", "newbusiness=New_business existingbusiness=Existing_business"}, {"hs_priority", choice, "", "low medium high"},
		{"closedate", moment, "", ""}, {"createdate", moment, "", ""}, {"hs_is_closed", yesNo, "rc", ""}, {"hs_is_closed_won", yesNo, "rc", ""},
		{"num_associated_contacts", number, "r", ""}, {"num_notes", number, "r", ""},
	},
	"tickets": {
		{"subject", text, "", ""}, {"content", area, "", ""}, {"hs_pipeline", choice, "x", ""}, {"hs_pipeline_stage", radio, "x", ""},
		{"hs_ticket_priority", choice, "", "LOW MEDIUM HIGH URGENT"},
		{"hs_ticket_category", multiple, "", "PRODUCT_ISSUE BILLING_ISSUE FEATURE_REQUEST GENERAL_INQUIRY"},
		{"hs_resolution", multiple, "", "ISSUE_FIXED ISSUE_PENDING FEATURE_REQUEST_FORWARDED"},
		{"source_type", radio, "", "CHAT EMAIL FORM PHONE"}, {"hs_ticket_id", number, "r", ""},
		{"createdate", moment, "", ""}, {"closed_date", moment, "", ""}, {"time_to_close", number, "rc", ""}, {"num_notes", number, "r", ""},
	},
	"products": {
		{"name", text, "", ""}, {"description", area, "", ""}, {"hs_sku", text, "", ""}, {"hs_url", text, "", ""}, {"hs_images", text, "", ""},
		{"price", number, "", ""}, {"hs_cost_of_goods_sold", number, "", ""}, {"tax", number, "", ""}, {"recurringbillingfrequency", choice, "", billing},
		{"hs_recurring_billing_period", text, "", ""}, {"hs_product_type", choice, "", "inventory non_inventory service"}, {"createdate", moment, "", ""},
	},
	"line_items": {
		{"name", text, "", ""}, {"description", area, "", ""}, {"hs_sku", text, "", ""}, {"price", number, "", ""}, {"quantity", number, "", ""},
		{"amount", number, "rc", ""}, {"discount", number, "", ""}, {"hs_discount_percentage", number, "", ""}, {"tax", number, "", ""},
		{"hs_product_id", text, "", ""}, {"hs_line_item_currency_code", choice, "", currencies}, {"recurringbillingfrequency", choice, "", billing},
		{"hs_recurring_billing_start_date", day, "", ""}, {"createdate", moment, "", ""},
	},
	"quotes": {
		{"hs_title", text, "", ""}, {"hs_quote_number", text, "", ""}, {"hs_public_url_key", text, "", ""}, {"hs_comments", rich, "", ""},
		{"hs_terms", rich, "", ""}, {"hs_sender_firstname", text, "", ""}, {"hs_sender_lastname", text, "", ""}, {"hs_sender_email", text, "", ""},
		{"hs_sender_company_name", text, "", ""}, {"hs_status", choice, "", "DRAFT APPROVAL_NOT_NEEDED PENDING_APPROVAL APPROVED REJECTED"},
		{"hs_expiration_date", day, "", ""}, {"hs_quote_amount", number, "r", ""}, {"hs_currency", choice, "", currencies},
		{"hs_language", choice, "", "en=English de=German fr=French es=Spanish ja=Japanese pt=Portuguese nl=Dutch"},
	},
	"notes": {
		{"hs_note_body", rich, "", ""}, {"hs_timestamp", moment, "", ""}, {"hs_attachment_ids", text, "", ""}, {"hs_body_preview", text, "rc", ""},
	},
	"tasks": {
		{"hs_task_subject", text, "", ""}, {"hs_task_body", rich, "", ""}, {"hs_task_status", choice, "", "NOT_STARTED IN_PROGRESS WAITING COMPLETED DEFERRED"},
		{"hs_task_priority", choice, "", "NONE LOW MEDIUM HIGH"}, {"hs_task_type", choice, "", "TODO=To-do EMAIL CALL"}, {"hs_timestamp", moment, "", ""},
		{"hs_task_reminders", text, "", ""}, {"hs_task_completion_date", moment, "", ""}, {"hs_body_preview", text, "rc", ""},
	},
	"calls": {
		{"hs_call_title", text, "", ""}, {"hs_call_body", rich, "", ""}, {"hs_call_from_number", text, "", ""}, {"hs_call_to_number", text, "", ""},
		{"hs_call_recording_url", text, "", ""}, {"hs_call_direction", choice, "", "INBOUND OUTBOUND"},
		{"hs_call_status", choice, "", "COMPLETED BUSY NO_ANSWER FAILED CANCELED QUEUED RINGING IN_PROGRESS CALLING_CRM_USER CONNECTING"},
		{"hs_call_disposition", choice, "", "connected left_live_message left_voicemail no_answer wrong_number busy"},
		{"hs_call_duration", number, "", ""}, {"hs_timestamp", moment, "", ""}, {"hs_body_preview", text, "rc", ""},
	},
	"emails": {
		{"hs_email_subject", text, "", ""}, {"hs_email_text", area, "", ""}, {"hs_email_html", rich, "", ""}, {"hs_email_headers", area, "", ""},
		{"hs_email_direction", choice, "", "EMAIL=Outgoing_email INCOMING_EMAIL FORWARDED_EMAIL"},
		{"hs_email_status", choice, "", "BOUNCED FAILED SCHEDULED SENDING SENT"}, {"hs_timestamp", moment, "", ""},
		{"hs_attachment_ids", text, "", ""}, {"hs_body_preview", text, "rc", ""},
	},
	"meetings": {
		{"hs_meeting_title", text, "", ""}, {"hs_meeting_body", rich, "", ""}, {"hs_internal_meeting_notes", rich, "", ""},
		{"hs_meeting_location", text, "", ""}, {"hs_meeting_external_url", text, "", ""}, {"hs_meeting_start_time", moment, "", ""},
		{"hs_meeting_end_time", moment, "", ""}, {"hs_meeting_outcome", choice, "", "SCHEDULED COMPLETED RESCHEDULED NO_SHOW CANCELED"},
		{"hs_timestamp", moment, "", ""}, {"hs_body_preview", text, "rc", ""},
	},
	"communications": {
		{"hs_communication_body", rich, "", ""}, {"hs_communication_channel_type", choice, "", "WHATS_APP=WhatsApp LINKEDIN_MESSAGE=LinkedIn_message SMS=SMS"},
		{"hs_communication_logged_from", text, "", ""}, {"hs_timestamp", moment, "", ""}, {"hs_body_preview", text, "rc", ""},
	},
	"postal_mail":          {{"hs_postal_mail_body", rich, "", ""}, {"hs_timestamp", moment, "", ""}, {"hs_body_preview", text, "rc", ""}},
	"feedback_submissions": {{"hs_content", area, "r", ""}, {"hs_submission_timestamp", moment, "r", ""}},
	"invoices":             {{"hs_number", text, "", ""}, {"hs_currency", choice, "", currencies}, {"hs_invoice_date", day, "", ""}, {"hs_due_date", day, "", ""}, {"hs_amount_billed", number, "", ""}},
	"subscriptions":        {{"hs_name", text, "", ""}, {"hs_recurring_revenue", number, "", ""}, {"hs_currency", choice, "", currencies}},
	"goal_targets":         {{"hs_goal_name", text, "", ""}, {"hs_target_amount", number, "", ""}, {"hs_start_datetime", moment, "", ""}, {"hs_end_datetime", moment, "", ""}},
	"discounts":            {{"hs_label", text, "", ""}, {"hs_type", choice, "", "FIXED PERCENT"}, {"hs_value", number, "", ""}},
	"fees":                 {{"hs_label", text, "", ""}, {"hs_type", choice, "", "FIXED PERCENT"}, {"hs_value", number, "", ""}},
	"taxes":                {{"hs_label", text, "", ""}, {"hs_type", choice, "", "FIXED PERCENT"}, {"hs_value", number, "", ""}},
	"commerce_payments":    {{"hs_reference_number", text, "", ""}, {"hs_initial_amount", number, "", ""}, {"hs_currency_code", choice, "", currencies}, {"hs_initiated_date", moment, "", ""}},
	"users":                {{"hs_given_name", text, "", ""}, {"hs_family_name", text, "", ""}, {"hs_email", text, "r", ""}, {"hs_job_title", text, "", ""}},
	"orders":               withPipeline(propertyRow{"hs_order_name", text, "", ""}, propertyRow{"hs_total_price", number, "", ""}, propertyRow{"hs_currency_code", choice, "", currencies}),
	"leads":                withPipeline(propertyRow{"hs_lead_name", text, "", ""}, propertyRow{"hs_lead_label", choice, "", "WARM COLD HOT"}, propertyRow{"hs_lead_type", text, "", ""}),
	"carts":                {{"hs_cart_name", text, "", ""}, {"hs_total_price", number, "", ""}, {"hs_currency_code", choice, "", currencies}},
	"services":             withPipeline(propertyRow{"hs_name", text, "", ""}, propertyRow{"hs_start_date", moment, "", ""}, propertyRow{"hs_description", area, "", ""}),
	"courses":              withPipeline(propertyRow{"hs_course_name", text, "", ""}, propertyRow{"hs_course_description", area, "", ""}),
	"listings":             withPipeline(propertyRow{"hs_name", text, "", ""}, propertyRow{"hs_price", number, "", ""}, propertyRow{"hs_city", text, "", ""}),
	"appointments":         withPipeline(propertyRow{"hs_appointment_name", text, "", ""}, propertyRow{"hs_appointment_start", moment, "", ""}, propertyRow{"hs_appointment_end", moment, "", ""}),
	"projects":             {{"hs_name", text, "", ""}, {"hs_description", area, "", ""}, {"hs_target_due_date", day, "", ""}},
}

// property makes the definition of a row.
func (r propertyRow) property(group string) *property {
	kind, field, _ := strings.Cut(r.kind, "/")
	p := &property{Name: r.name, Label: propertyLabel(r.name), Type: kind, FieldType: field, GroupName: group, DisplayOrder: -1,
		HubspotDefined: true, FormField: field != "html" && !strings.Contains(r.marks, "r"), Sensitivity: notSensitive, Options: []option{}}
	for _, m := range r.marks {
		switch m {
		case 'r':
			p.readOnly = true
		case 'u':
			p.HasUniqueValue = true
		case 'o':
			p.ExternalOptions, p.Referenced = true, "OWNER"
		case 'x':
			p.ExternalOptions = true
		case 'c':
			p.Calculated = true
		}
	}
	for i, o := range strings.Fields(r.options) {
		value, label, named := strings.Cut(o, "=")
		if !named {
			label = labelOf(value)
		}
		p.Options = append(p.Options, option{Label: strings.ReplaceAll(label, "_", " "), Value: value, DisplayOrder: i})
	}
	if kind == "bool" {
		p.Options = []option{{Label: "Yes", Value: "true"}, {Label: "No", Value: "false", DisplayOrder: 1}}
	}
	p.createdAt, p.updatedAt = 0, 0
	return p
}

// namedLabels are the labels that don't follow from a property's name.
var namedLabels = map[string]string{
	"firstname": "First name", "lastname": "Last name", "jobtitle": "Job title", "mobilephone": "Mobile phone", "lifecyclestage": "Lifecycle stage",
	"annualrevenue": "Annual revenue", "numemployees": "Number of employees", "numberofemployees": "Number of employees", "createdate": "Create date",
	"lastmodifieddate": "Last modified date", "hs_lastmodifieddate": "Last modified date", "hs_createdate": "Create date", "closedate": "Close date",
	"dealname": "Deal name", "dealstage": "Deal stage", "dealtype": "Deal type", "associatedcompanyid": "Primary company", "hubspot_owner_id": "Owner",
	"hubspot_owner_assigneddate": "Owner assigned date", "hs_object_id": "Record ID", "zip": "Postal code", "hs_all_contact_vids": "All contact IDs",
	"recurringbillingfrequency": "Billing frequency", "address2": "Address line 2", "hs_sku": "SKU", "hs_url": "URL",
}

func propertyLabel(name string) string {
	if l, ok := namedLabels[name]; ok {
		return l
	}
	return labelOf(strings.TrimPrefix(name, "hs_"))
}
