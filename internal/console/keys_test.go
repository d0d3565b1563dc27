package console

func keyViews(c func() Common) map[string][]view {
	return map[string][]view{"keys": {&keysView{}, &keysView{Common: c()}}}
}
