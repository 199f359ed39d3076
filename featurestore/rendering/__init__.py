"""Pictures and pages for people: the contact sheet, the page of matches, and what all HTML pages share.

In: images or their paths, with the words that stand beside them. Out: picture files, or HTML in which every value is escaped.
Other rooms use `contact_sheet`, `hits_page` and `html.templates`; import them where they are needed, they load Pillow and Jinja2.
"""
