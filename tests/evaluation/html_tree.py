from html.parser import HTMLParser

VOID = {"meta", "link", "img", "source", "input", "br", "line", "base", "hr"}


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.children = tag, dict(attributes), parent, []

    @property
    def text(self):
        return " ".join(self._letters().split())

    def _letters(self):
        return "".join(child if isinstance(child, str) else child._letters() for child in self.children)

    def walk(self):
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child.walk()

    def all(self, tag=None, **attributes):
        """Nodes below with this tag and these attributes; `_class` is one of the classes, `_` stands for a hyphen."""
        return [node for node in self.walk() if tag in (None, node.tag) and node._has(attributes)]

    def one(self, tag=None, **attributes):
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} of {tag} {attributes}"
        return found[0]

    def rows(self):
        """Texts of the cells of a table, row by row."""
        return [[cell.text for cell in row.children if isinstance(cell, Node)] for row in self.all("tr")]

    def _has(self, wanted):
        for name, value in wanted.items():
            own = self.attributes.get(name.strip("_").replace("_", "-"))
            if own is None or (value not in own.split() if name == "_class" else own != value):
                return False
        return True


def parse(html):
    """The tree of a page; fails where tags do not nest, which also tells text that became a tag."""
    root = Node("root", {}, None)

    class Parser(HTMLParser):
        here = root

        def handle_starttag(self, tag, attributes):
            node = Node(tag, attributes, self.here)
            self.here.children.append(node)
            if tag not in VOID:
                self.here = node

        def handle_startendtag(self, tag, attributes):
            self.here.children.append(Node(tag, attributes, self.here))

        def handle_endtag(self, tag):
            assert tag == self.here.tag, f"</{tag}> closes <{self.here.tag}>"
            self.here = self.here.parent

        def handle_data(self, data):
            self.here.children.append(data)

    parser = Parser()
    parser.feed(html)
    parser.close()
    assert parser.here is root
    return root
