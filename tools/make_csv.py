#!/usr/bin/env python3
"""A CSV file of made-up texts: make_csv.py [--rows N] [--seed N] [--least WORDS] [--most WORDS] > FILE.

Columns note_id, ward and note. The number of words of a note is log-uniform from --least to --most, so that most notes
are short and a few are long. Commas, quotation marks and line ends stand in some of them, as in real files.
"""
import argparse
import csv
import math
import random
import sys

WORDS = """patient was seen in the clinic today with a cough and fever for three days no chest pain or shortness of breath
blood pressure heart rate normal lungs clear on both sides history of diabetes asthma high cholesterol takes metformin
aspirin every morning denies smoking drinks little alcohol lives alone daughter visits often plan follow up in two weeks
return sooner if symptoms get worse x ray shows no sign of pneumonia left knee swollen after fall on ice last night can
walk slowly with help wound clean and dry stitches removed allergic to penicillin rash on arms since new soap appetite
good sleep poor weight stable over six months vaccine given advised rest fluids and exercise results discussed""".split()


def note(chance, least, most):
    words = round(math.exp(chance.uniform(math.log(least), math.log(most))))
    text = ""
    for i in range(words):
        text += chance.choice(WORDS)
        if i + 1 < words:
            text += chance.choices([" ", ", ", ". ", ' "so" ', "\n"], [80, 8, 8, 2, 2])[0]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=int, default=3)
    parser.add_argument("--most", type=int, default=600)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    out = csv.writer(sys.stdout)
    out.writerow(["note_id", "ward", "note"])
    for i in range(args.rows):
        out.writerow([f"N{chance.randrange(10**6):06d}-{i}", chance.choice(["A", "B, west"]), note(chance, args.least, args.most)])


main()
