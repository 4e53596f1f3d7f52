"""How likely it is that two records stand for the same person or organisation: pure computing over arrays.

Knows neither tables nor people: whoever asks brings columns of text and gets pairs, scores and words. After I. Fellegi
and A. Sunter, "A Theory for Record Linkage" (1969), with weights learned from the records themselves.
"""
