package tencenttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxMessage bounds a message: MsgBody as it is in the JSON, and CloudCustomData (80002).
const maxMessage = 12 * 1024

// element is one piece of a MsgBody.
type element struct {
	MsgType    string          `json:"MsgType"`
	MsgContent json.RawMessage `json:"MsgContent"`
}

// Fields of the elements as in Tencent's message format description (trtc.io/document/33527).
type (
	textElem struct {
		Text string `json:"Text"`
	}
	locationElem struct {
		Desc      string  `json:"Desc,omitempty"`
		Latitude  float64 `json:"Latitude"`
		Longitude float64 `json:"Longitude"`
	}
	faceElem struct {
		Index int    `json:"Index"`
		Data  string `json:"Data,omitempty"`
	}
	customElem struct {
		Data  string `json:"Data"`
		Desc  string `json:"Desc,omitempty"`
		Ext   string `json:"Ext,omitempty"`
		Sound string `json:"Sound,omitempty"`
	}
	soundElem struct {
		URL          string `json:"Url"`
		UUID         string `json:"UUID,omitempty"`
		Size         int    `json:"Size,omitempty"`
		Second       int    `json:"Second,omitempty"`
		DownloadFlag int    `json:"Download_Flag"`
	}
	imageElem struct {
		UUID           string `json:"UUID"`
		ImageFormat    int    `json:"ImageFormat"`
		ImageInfoArray []struct {
			Type   int    `json:"Type"`
			Size   int    `json:"Size"`
			Width  int    `json:"Width"`
			Height int    `json:"Height"`
			URL    string `json:"URL"`
		} `json:"ImageInfoArray"`
	}
	fileElem struct {
		URL          string `json:"Url"`
		UUID         string `json:"UUID,omitempty"`
		FileSize     int    `json:"FileSize,omitempty"`
		FileName     string `json:"FileName,omitempty"`
		DownloadFlag int    `json:"Download_Flag"`
	}
	videoElem struct {
		VideoURL          string `json:"VideoUrl"`
		VideoUUID         string `json:"VideoUUID,omitempty"`
		VideoSize         int    `json:"VideoSize,omitempty"`
		VideoSecond       int    `json:"VideoSecond,omitempty"`
		VideoFormat       string `json:"VideoFormat,omitempty"`
		VideoDownloadFlag int    `json:"VideoDownloadFlag"`
		ThumbURL          string `json:"ThumbUrl"`
		ThumbUUID         string `json:"ThumbUUID,omitempty"`
		ThumbSize         int    `json:"ThumbSize,omitempty"`
		ThumbWidth        int    `json:"ThumbWidth,omitempty"`
		ThumbHeight       int    `json:"ThumbHeight,omitempty"`
		ThumbFormat       string `json:"ThumbFormat,omitempty"`
		ThumbDownloadFlag int    `json:"ThumbDownloadFlag"`
	}
	relayElem struct {
		Title          string          `json:"Title"`
		MsgNum         int             `json:"MsgNum"`
		CompatibleText string          `json:"CompatibleText"`
		AbstractList   []string        `json:"AbstractList,omitempty"`
		JsonMsgKey     string          `json:"JsonMsgKey,omitempty"`
		MsgList        json.RawMessage `json:"MsgList,omitempty"`
	}
)

// checkBody checks a MsgBody piece by piece.
func checkBody(body []element) error {
	if len(body) == 0 {
		return errors.New("no MsgBody")
	}
	for i, e := range body {
		var into any
		switch e.MsgType {
		case "TIMTextElem":
			into = new(textElem)
		case "TIMLocationElem":
			into = new(locationElem)
		case "TIMFaceElem":
			into = new(faceElem)
		case "TIMCustomElem":
			into = new(customElem)
		case "TIMSoundElem":
			into = new(soundElem)
		case "TIMImageElem":
			into = new(imageElem)
		case "TIMFileElem":
			into = new(fileElem)
		case "TIMVideoFileElem":
			into = new(videoElem)
		case "TIMRelayElem":
			into = new(relayElem)
		default:
			return fmt.Errorf("MsgBody[%d] has the unknown MsgType %q", i, e.MsgType)
		}
		if err := decode(e.MsgContent, into); err != nil {
			return fmt.Errorf("failed to read MsgBody[%d]: %w", i, err)
		}
	}
	return nil
}

func tooLong(body []element, cloud string) bool {
	var size bytes.Buffer
	encoder := json.NewEncoder(&size)
	encoder.SetEscapeHTML(false) // what counts is what is sent
	if encoder.Encode(body) != nil {
		return true
	}
	return size.Len()+len(cloud) > maxMessage
}

func textBody(text string) []element {
	return []element{{MsgType: "TIMTextElem", MsgContent: mustJSON(textElem{Text: text})}}
}

// textOf joins the texts of a message.
func textOf(body []element) string {
	var texts []string
	for _, e := range body {
		var text textElem
		if e.MsgType == "TIMTextElem" && json.Unmarshal(e.MsgContent, &text) == nil {
			texts = append(texts, text.Text)
		}
	}
	return strings.Join(texts, "\n")
}
