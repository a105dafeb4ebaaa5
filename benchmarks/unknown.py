"""Compare the announced false alarm rates of a gallery with counted ones, on real faces.

    python benchmarks/unknown.py --root FACES [--models dlib_resnet29,y1] [--cache FOLDER]

FACES contains `celeb/train.rec`, `lfw.bin` and `photos/people/NAME/*.jpg`. Four experiments per model:

1. Half of the images of each celebrity are enrolled, the other half are known probes, and LFW's images are unknown people.
2. The same with a third of the celebrities as unknown people, who are more similar to the gallery; means of five draws.
3. Photos: half of the photos of each person are enrolled, the others are probes. A third of the people is unknown. Means of
   20 splits. DIR is the fraction of known probes named correctly at the threshold that accepts 10 % of the unknown ones.
4. Galleries of few celebrities with three images each; the others and LFW's images are unknown; means of 30 draws.

"Counted" is the fraction of unknown probes that get a name, with its 95 % Wilson interval, which treats images as
independent and is too narrow for several images of one person. For several draws, their standard deviation is printed.
"""

import argparse
import glob
import os
import tempfile

import numpy as np

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.data import FRValDataset, get_recognition_dataset
from gluonfr.deploy import Embedder
from gluonfr.photos.faces import main_face

RATES = (0.1, 0.01, 0.001)


def embedded(model, root, cache):
    """Return the card, (embeddings, people) of celeb, (embeddings, None) of LFW, and (embeddings, people) of the photos."""
    path = os.path.join(cache, os.path.basename(model) + ".npz")
    embedder = Embedder(model)
    embedder.card.embedding_size = embedder.embedding_size
    if not os.path.exists(path):
        celeb, lfw = get_recognition_dataset("celeb", root=root), FRValDataset("lfw", root=root)
        places = [(person, int(i)) for person, images in enumerate(celeb.identities) for i in images]
        first = np.unique(np.array(lfw.distinct()[0]))
        photos = sorted(glob.glob(os.path.join(root, "photos", "people", "*", "*.jpg")))
        crops = []
        for photo in photos:
            with open(photo, "rb") as file:
                crops.append(main_face(embedder, file.read()).crop)
        np.savez(
            path,
            celeb=in_parts(embedder, lambda i: celeb.read(i)[0], [i for _, i in places]),
            people=[person for person, _ in places],
            lfw=in_parts(embedder, lambda i: lfw.image(int(i)), first),
            photos=embedder(crops, aligned=True),
            owners=np.unique([os.path.basename(os.path.dirname(photo)) for photo in photos], return_inverse=True)[1],
        )
    stored = np.load(path)
    return embedder.card, (stored["celeb"], stored["people"]), stored["lfw"], (stored["photos"], stored["owners"])


def in_parts(embedder, read, places, size=1024):
    starts = range(0, len(places), size)
    return np.concatenate([embedder([read(i) for i in places[at : at + size]], aligned=True) for at in starts])


def halves(people, chosen, random):
    """Return the rows of the chosen people, divided into two halves per person."""
    one, other = [], []
    for person in chosen:
        rows = random.permutation(np.flatnonzero(people == person))
        one += rows[: (len(rows) + 1) // 2].tolist()
        other += rows[(len(rows) + 1) // 2 :].tolist()
    return np.array(one), np.array(other)


def filled(card, folder, rows, people, enrolled):
    gallery = Gallery(os.path.join(tempfile.mkdtemp(dir=folder), "g.db"), card)
    # Some crops have two labels; their position distinguishes them.
    gallery.enroll_people(
        {
            str(person): (rows[mine], [int(i).to_bytes(32, "big") for i in mine], None)
            for person in np.unique(people[enrolled])
            for mine in [enrolled[people[enrolled] == person]]
        }
    )
    return gallery


def best(gallery, rows):
    """Return names and similarities of the best match of each row."""
    answers = gallery.identify(rows, 1, gallery.threshold(similarity=1.0)) if len(rows) else []
    return np.array([answer.matches[0].name for answer in answers]), np.array([answer.similarity for answer in answers])


def told(gallery, rows, people, probes, strangers):
    """Return {rate: (threshold, fraction of known probes named correctly, wrongly, fraction of unknown probes named)}."""
    names, scores = best(gallery, rows[probes])
    right, alarms = names == people[probes].astype(str), best(gallery, strangers)[1]
    found = {}
    for rate in RATES:
        threshold = gallery.threshold(rate)
        named = scores > threshold.similarity
        found[rate] = threshold, np.mean(named & right), np.mean(named & ~right), np.mean(alarms > threshold.similarity)
    cut = np.sort(alarms)[::-1][int(0.1 * len(alarms))]
    return found, np.mean(right), np.mean(right & (scores > cut))


def wilson(share, count, z=1.96):
    middle, half = share + z * z / 2 / count, z * np.sqrt(share * (1 - share) / count + (z / 2 / count) ** 2)
    return max(0.0, (middle - half) / (1 + z * z / count)), (middle + half) / (1 + z * z / count)


def against_lfw(card, celeb, lfw, folder):
    rows, people = celeb
    enrolled, probes = halves(people, np.unique(people), np.random.default_rng(0))
    with filled(card, folder, rows, people, enrolled) as gallery:
        found, rank1, _ = told(gallery, rows, people, probes, lfw)
        print(f"\n{gallery.count()[0]} people, {len(enrolled)} images; {len(probes)} known probes, rank-1 {rank1:.4f}")
        for rate, (threshold, right, wrong, counted) in found.items():
            low, high = wilson(counted, len(lfw))
            print(
                f"  {rate:6.1%} {threshold.basis:17} above {threshold.similarity:.3f}: LFW counted {counted:7.3%} "
                f"({low:.3%} to {high:.3%}), right {right:.3%}, wrong {wrong:.3%}"
            )


def against_others(card, data, draws, folder, what):
    rows, people = data
    everyone, several = np.unique(people), []
    for draw in range(draws):
        random = np.random.default_rng(draw)
        chosen = random.permutation(everyone)[: len(everyone) - len(everyone) // 3]
        enrolled, probes = halves(people, chosen, random)
        with filled(card, folder, rows, people, enrolled) as gallery:
            several.append(told(gallery, rows, people, probes, rows[~np.isin(people, chosen)]))
    rank1, dir10 = np.mean([row[1] for row in several]), np.mean([row[2] for row in several])
    print(f"\n{what}: {len(chosen)} people, others are strangers, {draws} draws: rank-1 {rank1:.4f}, DIR at 10 % {dir10:.4f}")
    for rate in RATES:
        counted = [found[rate][3] for found, _, _ in several]
        right, wrong = (np.mean([found[rate][place] for found, _, _ in several]) for place in (1, 2))
        basis = several[0][0][rate][0].basis
        print(
            f"  {rate:6.1%} {basis:17}: counted {np.mean(counted):7.3%} (sd {np.std(counted):.3%}), "
            f"right {right:.3%}, wrong {wrong:.3%}"
        )


def few_people(card, celeb, lfw, folder, draws=30, photos=3):
    rows, people = celeb
    print(f"\n{'people x photos':17}{'':10}{'others counted':>20}{'LFW counted':>14}{'right':>8}")
    for count in (10, 16, 24, 60, 100):
        several = {rate: [] for rate in (0.1, 0.03, 0.01)}
        for draw in range(draws):
            random = np.random.default_rng(draw)
            chosen = random.permutation([person for person in np.unique(people) if (people == person).sum() > photos])[:count]
            shuffled = [random.permutation(np.flatnonzero(people == person)) for person in chosen]
            enrolled, probes = (
                np.concatenate([indices[:photos] for indices in shuffled]),
                np.concatenate([indices[photos:] for indices in shuffled]),
            )
            others = np.flatnonzero(~np.isin(people, chosen))
            with filled(card, folder, rows, people, enrolled) as gallery:
                names, scores = best(gallery, rows[probes])
                alarms, far = best(gallery, rows[others])[1], best(gallery, lfw[::4])[1]
                for rate, found in several.items():
                    threshold = gallery.threshold(rate)
                    above = [
                        np.mean(alarms[people[others] == person] > threshold.similarity) for person in np.unique(people[others])
                    ]
                    right = (names == people[probes].astype(str)) & (scores > threshold.similarity)
                    found.append((np.mean(above), np.mean(far > threshold.similarity), np.mean(right)))
        for rate, found in several.items():
            others, far, right = np.mean(found, axis=0)
            spread = np.std([pair[0] for pair in found])
            print(f"{count:6} x {photos:<8} {rate:9.0%} {others:12.1%} (sd {spread:5.1%}) {far:13.1%} {right:7.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--models", default="dlib_resnet29", help="names or files of models, separated by commas")
    parser.add_argument("--cache", help="folder for cached embeddings")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        for model in arguments.models.split(","):
            card, celeb, lfw, photos = embedded(model, arguments.root, arguments.cache or work)
            print(f"\n== {os.path.basename(model)}")
            against_lfw(card, celeb, lfw, work)
            against_others(card, celeb, 5, work, "celebrities")
            against_others(card, photos, 20, work, "photos")
            few_people(card, celeb, lfw, work)
