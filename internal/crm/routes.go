package crm

import (
	"net/http"
	"slices"
)

// routes are all operations. The OpenAPI document is made from them, so each is in
// it and it has no others.
func routes() []route {
	return slices.Concat(recordRoutes(), associationRoutes(), propertyRoutes(), pipelineRoutes(), schemaRoutes(), otherRoutes())
}

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// spelled gives each route once for each way in which its path begins. The first
// keeps its name; the others' names end in the suffix that goes with them.
func spelled(list []route, bases ...[2]string) []route {
	var out []route
	for _, b := range bases {
		for _, r := range list {
			r.path = b[0] + r.path
			r.op += b[1]
			out = append(out, r)
		}
	}
	return out
}

var (
	readQuery = []string{"properties", "propertiesWithHistory", "associations", "archived"}
	listQuery = append([]string{"limit", "after"}, readQuery...)
)

func recordRoutes() []route {
	t := "Records"
	list := []route{
		{get, "/{objectType}", "listRecords", "List records", t, readRecords, listQuery, "", "RecordPage", 200, false, listRecords},
		{get, "/{objectType}/{objectId}", "readRecord", "Read a record", t, readRecords, append([]string{"idProperty"}, readQuery...), "", "Record", 200, false, readRecord},
		{post, "/{objectType}", "createRecord", "Create a record", t, writeRecords, nil, "RecordInput", "Record", 201, false, createRecord},
		{patch, "/{objectType}/{objectId}", "updateRecord", "Update a record", t, writeRecords, []string{"idProperty"}, "RecordInput", "Record", 200, false, updateRecord},
		{remove, "/{objectType}/{objectId}", "archiveRecord", "Archive a record", t, writeRecords, nil, "", "", 204, false, archiveRecord},
		{post, "/{objectType}/search", "searchRecords", "Search records", t, findRecords, nil, "Search", "RecordPage", 200, false, searchRecords},
		{post, "/{objectType}/merge", "mergeRecords", "Merge two records", t, writeRecords, nil, "Merge", "Record", 200, false, mergeRecords},
		{post, "/{objectType}/batch/read", "batchReadRecords", "Read a batch of records", t, readRecords, []string{"archived"}, "BatchRead", "RecordBatch", 200, true, batchRead},
		{post, "/{objectType}/batch/create", "batchCreateRecords", "Create a batch of records", t, writeRecords, nil, "BatchWrite", "RecordBatch", 201, true, batchCreate},
		{post, "/{objectType}/batch/update", "batchUpdateRecords", "Update a batch of records", t, writeRecords, nil, "BatchWrite", "RecordBatch", 200, true, batchUpdate},
		{post, "/{objectType}/batch/upsert", "batchUpsertRecords", "Create or update a batch of records", t, writeRecords, nil, "BatchWrite", "RecordBatch", 200, true, batchUpsert},
		{post, "/{objectType}/batch/archive", "batchArchiveRecords", "Archive a batch of records", t, writeRecords, nil, "IDs", "", 204, false, batchArchive},
		{post, "/{objectType}/gdpr-delete", "eraseRecord", "Erase a record for good", t, writeRecords, nil, "Erase", "", 204, false, eraseContact},
	}
	// Some sync tools list and read under v4.
	return append(spelled(list, [2]string{"/crm/v3/objects", ""}, [2]string{"/crm/objects/{apiVersion}", "Dated"}), spelled(list[:2], [2]string{"/crm/v4/objects", "V4"})...)
}

func associationRoutes() []route {
	t := "Associations"
	one := []route{
		{get, "/{objectType}/{objectId}/associations/{toObjectType}", "listAssociations", "List what a record is associated with", t, readLinked, []string{"limit", "after"}, "", "AssociationPage", 200, false, listLinks},
		{put, "/{objectType}/{objectId}/associations/default/{toObjectType}/{toObjectId}", "associateDefault", "Associate two records", t, writeLinked, nil, "", "AssociationBatch", 200, false, linkDefault},
		{put, "/{objectType}/{objectId}/associations/{toObjectType}/{toObjectId}", "associateLabelled", "Associate two records with labels", t, writeLinked, nil, "AssociationTypes", "AssociationLabels", 201, false, linkLabelled},
		{remove, "/{objectType}/{objectId}/associations/{toObjectType}/{toObjectId}", "endAssociation", "End all associations between two records", t, writeLinked, nil, "", "", 204, false, unlinkPair},
	}
	batches := []route{
		{post, "/{fromObjectType}/{toObjectType}/batch/read", "batchReadAssociations", "Read the associations of a batch of records", t, readLinked, nil, "IDs", "AssociationBatch", 200, true, batchReadLinks},
		{post, "/{fromObjectType}/{toObjectType}/batch/create", "batchAssociate", "Associate a batch of records with labels", t, writeLinked, nil, "AssociationInputs", "AssociationBatch", 201, true, batchCreateLinks},
		{post, "/{fromObjectType}/{toObjectType}/batch/associate/default", "batchAssociateDefault", "Associate a batch of records", t, writeLinked, nil, "AssociationInputs", "AssociationBatch", 200, true, batchLinkDefault},
		{post, "/{fromObjectType}/{toObjectType}/batch/archive", "batchEndAssociations", "End the associations of a batch of records", t, writeLinked, nil, "AssociationInputs", "", 204, false, batchUnlink},
		{post, "/{fromObjectType}/{toObjectType}/batch/labels/archive", "batchRemoveLabels", "Take labels off a batch of associations", t, writeLinked, nil, "AssociationInputs", "", 204, false, batchUnlinkLabels},
	}
	labels := []route{
		{get, "/{fromObjectType}/{toObjectType}/labels", "listAssociationLabels", "List the types of association between two types of object", t, readLinked, nil, "", "LabelPage", 200, false, listLabels},
		{post, "/{fromObjectType}/{toObjectType}/labels", "createAssociationLabel", "Create an association label", t, writeLinked, nil, "Label", "LabelPage", 200, false, createLabel},
		{put, "/{fromObjectType}/{toObjectType}/labels", "updateAssociationLabel", "Rename an association label", t, writeLinked, nil, "Label", "", 204, false, updateLabel},
		{remove, "/{fromObjectType}/{toObjectType}/labels/{associationTypeId}", "deleteAssociationLabel", "Delete an association label", t, writeLinked, nil, "", "", 204, false, deleteLabel},
	}
	v3 := []route{
		{post, "/crm/v3/associations/{fromObjectType}/{toObjectType}/batch/read", "batchReadAssociationsV3", "Read the associations of a batch of records", t, readLinked, nil, "IDs", "AssociationBatch", 200, true, batchReadLinksV3},
		{post, "/crm/v3/associations/{fromObjectType}/{toObjectType}/batch/create", "batchAssociateV3", "Associate a batch of records", t, writeLinked, nil, "AssociationInputs", "AssociationBatch", 201, true, batchCreateLinksV3},
		{post, "/crm/v3/associations/{fromObjectType}/{toObjectType}/batch/archive", "batchEndAssociationsV3", "End the associations of a batch of records", t, writeLinked, nil, "AssociationInputs", "", 204, false, batchUnlinkV3},
		{get, "/crm/v3/associations/{fromObjectType}/{toObjectType}/types", "listAssociationTypesV3", "List the types of association between two types of object", t, readLinked, nil, "", "LabelPage", 200, false, kindNames},
		{get, "/crm/v3/objects/{objectType}/{objectId}/associations/{toObjectType}", "listAssociationsV3", "List what a record is associated with", t, readLinked, []string{"limit", "after"}, "", "AssociationPage", 200, false, listLinksV3},
		{put, "/crm/v3/objects/{objectType}/{objectId}/associations/{toObjectType}/{toObjectId}/{associationType}", "associateV3", "Associate two records", t, writeLinked, nil, "", "Record", 200, false, linkV3},
		{remove, "/crm/v3/objects/{objectType}/{objectId}/associations/{toObjectType}/{toObjectId}/{associationType}", "endAssociationV3", "End an association between two records", t, writeLinked, nil, "", "", 204, false, unlinkV3},
	}
	return slices.Concat(
		spelled(one, [2]string{"/crm/v4/objects", ""}, [2]string{"/crm/objects/{apiVersion}", "Dated"}),
		spelled(batches, [2]string{"/crm/v4/associations", ""}, [2]string{"/crm/associations/{apiVersion}", "Dated"}),
		spelled(labels, [2]string{"/crm/v4/associations", ""}, [2]string{"/crm/associations/v4", "Alias"}, [2]string{"/crm/associations/{apiVersion}", "Dated"}),
		v3)
}

func propertyRoutes() []route {
	t := "Properties"
	return spelled([]route{
		{get, "/{objectType}", "listProperties", "List property definitions", t, readDefs, []string{"archived", "dataSensitivity", "properties"}, "", "PropertyPage", 200, false, listProperties},
		{post, "/{objectType}", "createProperty", "Define a property", t, writeDefs, nil, "PropertyInput", "Property", 201, false, createProperty},
		{get, "/{objectType}/{propertyName}", "readProperty", "Read a property definition", t, readDefs, []string{"archived"}, "", "Property", 200, false, readProperty},
		{patch, "/{objectType}/{propertyName}", "updateProperty", "Change a property definition", t, writeDefs, nil, "PropertyInput", "Property", 200, false, changeProperty},
		{remove, "/{objectType}/{propertyName}", "archiveProperty", "Archive a property definition", t, writeDefs, nil, "", "", 204, false, archiveProperty},
		{post, "/{objectType}/batch/read", "batchReadProperties", "Read a batch of property definitions", t, readDefs, nil, "Names", "PropertyBatch", 200, true, batchReadProperties},
		{post, "/{objectType}/batch/create", "batchCreateProperties", "Define a batch of properties", t, writeDefs, nil, "PropertyInputs", "PropertyBatch", 201, true, batchCreateProperties},
		{post, "/{objectType}/batch/archive", "batchArchiveProperties", "Archive a batch of property definitions", t, writeDefs, nil, "Names", "", 204, false, batchArchiveProperties},
		{get, "/{objectType}/groups", "listPropertyGroups", "List property groups", t, readDefs, nil, "", "GroupPage", 200, false, listGroups},
		{post, "/{objectType}/groups", "createPropertyGroup", "Create a property group", t, writeDefs, nil, "Group", "Group", 201, false, createGroup},
		{get, "/{objectType}/groups/{groupName}", "readPropertyGroup", "Read a property group", t, readDefs, nil, "", "Group", 200, false, readGroup},
		{patch, "/{objectType}/groups/{groupName}", "updatePropertyGroup", "Change a property group", t, writeDefs, nil, "Group", "Group", 200, false, changeGroup},
		{remove, "/{objectType}/groups/{groupName}", "archivePropertyGroup", "Archive a property group", t, writeDefs, nil, "", "", 204, false, archiveGroup},
	}, [2]string{"/crm/v3/properties", ""}, [2]string{"/crm/properties/{apiVersion}", "Dated"})
}

func pipelineRoutes() []route {
	t := "Pipelines"
	return spelled([]route{
		{get, "/{objectType}", "listPipelines", "List pipelines", t, readDefs, nil, "", "PipelinePage", 200, false, listPipelines},
		{post, "/{objectType}", "createPipeline", "Create a pipeline", t, writeDefs, nil, "PipelineInput", "Pipeline", 201, false, createPipeline},
		{get, "/{objectType}/{pipelineId}", "readPipeline", "Read a pipeline", t, readDefs, []string{"archived"}, "", "Pipeline", 200, false, readPipeline},
		{put, "/{objectType}/{pipelineId}", "replacePipeline", "Replace a pipeline and its stages", t, writeDefs, nil, "PipelineInput", "Pipeline", 200, false, changePipeline},
		{patch, "/{objectType}/{pipelineId}", "updatePipeline", "Change a pipeline", t, writeDefs, nil, "PipelineInput", "Pipeline", 200, false, changePipeline},
		{remove, "/{objectType}/{pipelineId}", "archivePipeline", "Archive a pipeline", t, writeDefs, []string{"validateReferencesBeforeDelete", "validateDealStageUsagesBeforeDelete"}, "", "", 204, false, archivePipeline},
		{get, "/{objectType}/{pipelineId}/stages", "listStages", "List the stages of a pipeline", t, readDefs, nil, "", "StagePage", 200, false, listStages},
		{post, "/{objectType}/{pipelineId}/stages", "createStage", "Create a stage", t, writeDefs, nil, "StageInput", "Stage", 201, false, createStage},
		{get, "/{objectType}/{pipelineId}/stages/{stageId}", "readStage", "Read a stage", t, readDefs, nil, "", "Stage", 200, false, readStage},
		{put, "/{objectType}/{pipelineId}/stages/{stageId}", "replaceStage", "Replace a stage", t, writeDefs, nil, "StageInput", "Stage", 200, false, changeStage},
		{patch, "/{objectType}/{pipelineId}/stages/{stageId}", "updateStage", "Change a stage", t, writeDefs, nil, "StageInput", "Stage", 200, false, changeStage},
		{remove, "/{objectType}/{pipelineId}/stages/{stageId}", "archiveStage", "Archive a stage", t, writeDefs, nil, "", "", 204, false, archiveStage},
	}, [2]string{"/crm/v3/pipelines", ""}, [2]string{"/crm/pipelines/{apiVersion}", "Dated"})
}

func schemaRoutes() []route {
	t := "Schemas"
	return spelled([]route{
		{get, "", "listSchemas", "List the account's own types of object", t, readSchemas, []string{"archived"}, "", "SchemaPage", 200, false, listSchemas},
		{post, "", "createSchema", "Create a type of object", t, writeSchemas, nil, "SchemaInput", "Schema", 201, false, createSchema},
		{get, "/{objectType}", "readSchema", "Read a type of object", t, readSchemas, nil, "", "Schema", 200, false, readSchema},
		{patch, "/{objectType}", "updateSchema", "Change a type of object", t, writeSchemas, nil, "SchemaInput", "Schema", 200, false, changeSchema},
		{remove, "/{objectType}", "archiveSchema", "Archive or remove a type of object", t, writeSchemas, []string{"archived"}, "", "", 204, false, archiveSchema},
	}, [2]string{"/crm-object-schemas/v3/schemas", ""}, [2]string{"/crm/v3/schemas", "Alias"}, [2]string{"/crm-object-schemas/{apiVersion}/schemas", "Dated"})
}

func otherRoutes() []route {
	owners := spelled([]route{
		{get, "", "listOwners", "List owners", "Owners", readOwners, []string{"email", "limit", "after", "archived"}, "", "OwnerPage", 200, false, listOwners},
		{get, "/{ownerId}", "readOwner", "Read an owner", "Owners", readOwners, []string{"idProperty", "archived"}, "", "Owner", 200, false, readOwner},
	}, [2]string{"/crm/v3/owners", ""}, [2]string{"/crm/owners/{apiVersion}", "Dated"})
	account := spelled([]route{
		{get, "/details", "readAccount", "Read the account's details", "Account", anyKey, nil, "", "Account", 200, false, accountDetails},
		{get, "/api-usage/daily", "readDailyUsage", "Read how many calls were made today", "Account", anyKey, nil, "", "UsagePage", 200, false, dailyUsage},
		{get, "/api-usage/daily/private-apps", "readDailyUsagePrivateApps", "Read how many calls keys made today", "Account", anyKey, nil, "", "UsagePage", 200, false, dailyUsage},
	}, [2]string{"/account-info/v3", ""}, [2]string{"/account-info/{apiVersion}", "Dated"})
	tokens := []route{
		{post, "/oauth/v2/private-apps/get/access-token-info", "readKeyInfo", "Tell what a key is good for", "Tokens", anyone, nil, "KeyInfoInput", "KeyInfo", 200, false, accessTokenInfo},
		{get, "/oauth/v1/access-tokens/{token}", "readAccessToken", "Tell what an access token is good for", "Tokens", anyone, nil, "", "TokenInfo", 200, false, readAccessToken},
		{post, "/oauth/v3/token/introspect", "introspectToken", "Tell what a token is good for", "Tokens", anyone, nil, formBody, "TokenInfo", 200, false, introspectToken},
		{post, "/oauth/{apiVersion}/token/introspect", "introspectTokenDated", "Tell what a token is good for", "Tokens", anyone, nil, formBody, "TokenInfo", 200, false, introspectToken},
	}
	return slices.Concat(owners, account, tokens)
}

// formBody marks a route whose body is a form with a token.
const formBody = "form"
