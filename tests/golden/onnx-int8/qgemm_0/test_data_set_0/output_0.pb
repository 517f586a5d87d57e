Bv9J¹H

%cEO6í