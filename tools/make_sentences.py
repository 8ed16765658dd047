"""Prints COUNT sentences, one a line, of 3 to some 60 word pieces: notes, questions, numbers, names, lists, odd spelling,
several scripts. The same SEED gives the same lines.    tools/make_sentences.py COUNT [SEED]"""
import random
import sys

SUBJECTS = """the patient|a 54-year-old man|she|the night nurse|our supplier|the committee|Dr. Okonkwo|nobody|a small dog|
the second sample|my neighbour's cat|the court|an anonymous caller|the turbine|every third customer|the old library|
two engineers from Porto|the shipment|this paragraph|a cold front|the choir|the defendant|her left knee|the index""".split("|")
VERBS = """reported|did not confirm|was said to have lost|measured|forgot|signed for|complained about|repaired|had seen|
will probably sell|denied|could not explain|asked twice about|recommends|translated|paid for|has been waiting for""".split("|")
OBJECTS = """severe headache since Tuesday|the invoice of 12 March|a rare book|three boxes of gloves|the weather in Lisbon|
an elevated troponin of 0.14 ng/mL|the new timetable|a broken window on the second floor|shortness of breath|
the difference between the two contracts|no known allergies|a recipe with saffron and almonds|the train at 6:45|
unusual noise in the left ear|the results|penicillin|a mortgage over 250,000 euros|the last paragraph of section 4.2|
pneumonoultramicroscopicsilicovolcanoconiosis|his grandmother's violin|the password""".split("|")
ENDINGS = """|after a long flight|, which surprised everyone|because of the strike|in spite of the rain|, but only once|
without any further comment|(see appendix B)|; a second opinion was requested|at roughly 37.5 degrees|
while the others were at lunch|for the third time this year|, as agreed by e-mail""".split("|")
WHOLE = ["What time does the museum open on Sundays?", "Ja, das wäre schön.", "¿Dónde está la estación?", "Что это такое?",
         "今日は天気がいいですね。", "lol ok", "N/A", "BP 120/80, HR 72, SpO2 98 %", "Buy low, sell high!!!", "éàüß",
         "https://example.org/a?b=c", "asdf qwer zxcv", "I am.", "To be, or not to be: that is the question.", "42"]


def sentence(r):
    kind = r.random()
    if kind < 0.06:
        return r.choice(WHOLE)
    parts = []
    for _ in range(1 if kind < 0.7 else r.randint(2, 4)):
        s = " ".join(r.choice(x).strip() for x in (SUBJECTS, VERBS, OBJECTS, ENDINGS))
        parts.append(s.replace(" ,", ",").replace(" ;", ";").strip())
    text = r.choice([" and ", ". ", "; "]).join(parts)
    text = text[0].upper() + text[1:] + r.choice([".", ".", ".", "?", "!", ""])
    return text.upper() if r.random() < 0.03 else text


def main():
    r = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    for _ in range(int(sys.argv[1])):
        print(sentence(r))


main()
