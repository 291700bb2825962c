package tencenttest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/timbridge/timbridge/receipts"
)

const (
	tagNick  = "Tag_Profile_IM_Nick"
	tagImage = "Tag_Profile_IM_Image"
)

type accountImportRequest struct {
	UserID  string  `json:"UserID"`
	Nick    *string `json:"Nick"`
	FaceURL *string `json:"FaceUrl"`
}

// accountImport makes an account or updates its profile. [R-ACC]
func (s *Server) accountImport(_ caller, req accountImportRequest) (reply, *receipts.Error) {
	if !validUserID(req.UserID) {
		return nil, refuse(codeAccountParameters, "malformed UserID %q", req.UserID)
	}
	return nil, s.importAccount(req)
}

func (s *Server) importAccount(req accountImportRequest) *receipts.Error {
	if s.accounts[req.UserID] == nil && s.opts.Edition == EditionTrial && len(s.accounts) >= 100 {
		return refuse(codeTrialAccounts, "trial edition has 100 accounts")
	}
	a := s.addAccount(req.UserID)
	if req.Nick != nil {
		a.profile[tagNick] = mustJSON(*req.Nick)
	}
	if req.FaceURL != nil {
		a.profile[tagImage] = mustJSON(*req.FaceURL)
	}
	return nil
}

type multiaccountImportRequest struct {
	Accounts    []string               `json:"Accounts"` // the old form
	AccountList []accountImportRequest `json:"AccountList"`
}

// multiaccountImport makes up to 100 accounts; those that could not be made are in FailAccounts. [R-MACC]
func (s *Server) multiaccountImport(_ caller, req multiaccountImportRequest) (reply, *receipts.Error) {
	list := req.AccountList
	for _, id := range req.Accounts {
		list = append(list, accountImportRequest{UserID: id})
	}
	if len(list) == 0 || len(list) > 100 {
		return nil, refuse(codeAccountParameters, "%d accounts, want 1 to 100", len(list))
	}
	failed := []string{}
	for _, item := range list {
		if !validUserID(item.UserID) || s.importAccount(item) != nil {
			failed = append(failed, item.UserID)
		}
	}
	return reply{"FailAccounts": failed}, nil
}

type accountCheckRequest struct {
	CheckItem []struct {
		UserID string `json:"UserID"`
	} `json:"CheckItem"`
}

// accountCheck tells of up to 100 accounts whether they are imported. [R-ACHK]
func (s *Server) accountCheck(_ caller, req accountCheckRequest) (reply, *receipts.Error) {
	if len(req.CheckItem) == 0 || len(req.CheckItem) > 100 {
		return nil, refuse(codeAccountParameters, "%d accounts, want 1 to 100", len(req.CheckItem))
	}
	list := []reply{}
	for _, item := range req.CheckItem {
		status := "NotImported"
		if s.accounts[item.UserID] != nil {
			status = "Imported"
		}
		list = append(list, reply{"UserID": item.UserID, "ResultCode": 0, "ResultInfo": "", "AccountStatus": status})
	}
	return reply{"ResultItem": list}, nil
}

type portraitGetRequest struct {
	ToAccount []string `json:"To_Account"`
	TagList   []string `json:"TagList"`
}

// portraitGet reads profiles of up to 100 accounts. [R-PGET]
func (s *Server) portraitGet(_ caller, req portraitGetRequest) (reply, *receipts.Error) {
	if len(req.ToAccount) == 0 || len(req.ToAccount) > 100 || len(req.TagList) == 0 {
		return nil, refuse(codeProfileParameters, "%d accounts, want 1 to 100; %d tags, want at least 1", len(req.ToAccount), len(req.TagList))
	}
	list, failed := []reply{}, []string{}
	for _, id := range req.ToAccount {
		a := s.accounts[id]
		if a == nil {
			failed = append(failed, id)
			list = append(list, reply{"To_Account": id, "ResultCode": int(codeProfileNoAccount), "ResultInfo": "no such account"})
			continue
		}
		items := []profileItem{}
		for _, tag := range req.TagList {
			if value, ok := a.profile[tag]; ok {
				items = append(items, profileItem{Tag: tag, Value: value})
			}
		}
		list = append(list, reply{"To_Account": id, "ProfileItem": items, "ResultCode": 0, "ResultInfo": ""})
	}
	rep := reply{"UserProfileItem": list}
	if len(failed) > 0 {
		rep["Fail_Account"] = failed
	}
	return rep, nil
}

type profileItem struct {
	Tag   string          `json:"Tag"`
	Value json.RawMessage `json:"Value"`
}

type portraitSetRequest struct {
	FromAccount string        `json:"From_Account"`
	ProfileItem []profileItem `json:"ProfileItem"`
}

// portraitSet sets a profile. [R-PSET]
func (s *Server) portraitSet(_ caller, req portraitSetRequest) (reply, *receipts.Error) {
	a := s.accounts[req.FromAccount]
	if a == nil {
		return nil, refuse(codeProfileNoAccount, "no account %q", req.FromAccount)
	}
	if len(req.ProfileItem) == 0 {
		return nil, refuse(codeProfileParameters, "no ProfileItem")
	}
	for _, item := range req.ProfileItem {
		if !strings.HasPrefix(item.Tag, "Tag_Profile_IM_") && !strings.HasPrefix(item.Tag, "Tag_Profile_Custom_") {
			return nil, refuse(codeProfileParameters, "no tag %q", item.Tag)
		}
		var text string
		isText := slices.Contains([]string{tagNick, tagImage}, item.Tag)
		if isText && (json.Unmarshal(item.Value, &text) != nil || len(text) > 500) {
			return nil, refuse(codeProfileParameters, "%s is a string of at most 500 bytes", item.Tag)
		}
	}
	for _, item := range req.ProfileItem {
		a.profile[item.Tag] = item.Value
	}
	return nil, nil
}
