package accesslog

// Words says what is wrong with a line: "3 lines could not be read (not text)".
func (f Fault) Words() string {
	switch f {
	case TooLong:
		return "longer than 64 KiB"
	case Binary:
		return "not text"
	case Unknown:
		return "in no known format"
	case BadTime:
		return "no time that makes sense"
	case BadRequest:
		return "no HTTP request in it"
	}
	return ""
}
