package console

import "strings"

// tool is a program, and what its user agents contain, in small letters.
type tool struct{ part, name string }

var tools = []tool{
	{"microsoft.data.mashup", "Power BI"}, {"power bi", "Power BI"}, {"tableau", "Tableau"}, {"looker", "Looker Studio"}, {"airbyte", "Airbyte"}, {"fivetran", "Fivetran"},
	{"google-apps-script", "Google Sheets"}, {"google-sheets", "Google Sheets"}, {"postmanruntime", "Postman"}, {"zapier", "Zapier"}, {"n8n", "n8n"}, {"airflow", "Airflow"}, {"dbt", "dbt"},
	{"python", "Python script"}, {"aiohttp", "Python script"}, {"httpx", "Python script"}, {"hubspot-api-client-nodejs", "Node service"}, {"node", "Node service"}, {"undici", "Node service"},
	{"axios", "Node service"}, {"go-http-client", "Go program"}, {"okhttp", "Java program"}, {"java", "Java program"}, {"ruby", "Ruby program"}, {"php", "PHP program"}, {"guzzle", "PHP program"},
	{"curl", "curl"}, {"wget", "wget"}, {"powershell", "PowerShell"}, {"mozilla", "Browser"},
}

// toolName says what calls, from its user agent, which anybody can write.
func toolName(ua string) string {
	if ua == "" {
		return ""
	}
	low := strings.ToLower(ua)
	for _, t := range tools {
		if strings.Contains(low, t.part) {
			return t.name
		}
	}
	name, _, _ := strings.Cut(ua, "/")
	name, _, _ = strings.Cut(name, " ")
	if r := []rune(name); len(r) > 24 {
		name = string(r[:24]) + "…"
	}
	return name
}
