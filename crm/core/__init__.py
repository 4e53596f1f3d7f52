"""The ground floor: entities, fields, commands, rights, audit and jobs as ideas; it knows no business."""
